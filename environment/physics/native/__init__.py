"""OpenSim's equations of motion compiled for this machine's processor. `engine.py` is the way in."""
