"""Looking at stored runs, moving them between databases, deleting from them: `python -m agents replay …`."""
