"""Seeing: states of the body as pictures, as a video, and in a browser. Knows states only, not who acted."""
