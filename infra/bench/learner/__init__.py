"""How fast the learner learns: whole updates, sampling included, beside other implementations of TD3."""
