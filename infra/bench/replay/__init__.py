"""How fast the replay memory is: the log, the mirror, and what lies between them, each beside its peers."""
