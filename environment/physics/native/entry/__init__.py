"""The machine code that Python calls. Importing one of these modules compiles it: `machine_code.py` does, once."""
