"""Other implementations of TD3, each with its own replay buffer."""
