"""Demonstrations: a motion's states with actions that may have led along them, and an actor that begins with what they
show (behavioural cloning from observation, Torabi et al., arXiv 1805.01954)."""
