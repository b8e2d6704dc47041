"""How well our TD3 learns: return over environment steps, beside another implementation, on tasks that others know."""
