"""Those who act and learn: actors, the learner, the evaluator, and the stores between them."""

__version__ = "0.1.0"
