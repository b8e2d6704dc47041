"""Replay: MongoDB is the durable log, the mirror in the learner's memory is what gets sampled."""
