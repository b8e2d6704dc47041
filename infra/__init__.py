"""Where the system runs and how many of each: processes, services, machines."""
