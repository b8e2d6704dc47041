"""The body, its world and its task. Knows nothing of learning, databases or clouds."""
