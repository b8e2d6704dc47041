"""Where processes run: on this machine, and later on clusters and spot machines."""
