"""Is another engine OpenSim's equal? The same states and the same actions in both, and how far apart they come out."""
