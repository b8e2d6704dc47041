"""OpenSim's equations of motion compiled for this machine's processor. `physics.py` is one body, `batch.py` many."""
