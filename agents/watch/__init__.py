"""`python -m agents watch`: which episode is seen. How it is drawn: `environment/rendering/`."""
