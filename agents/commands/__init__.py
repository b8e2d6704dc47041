"""What `python -m agents` can be told to do, by area. `agents/__main__.py` joins them."""
