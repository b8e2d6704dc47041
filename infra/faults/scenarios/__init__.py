"""One file per thing that goes wrong."""
