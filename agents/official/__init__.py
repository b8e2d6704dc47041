"""Official scores: a policy on the challenge's tasks, on seeds that no training draws, beside its baselines."""
