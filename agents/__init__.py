"""Those who act and learn: actors, the learner, the evaluator, and the stores between them."""
