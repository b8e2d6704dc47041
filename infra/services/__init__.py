"""The local MongoDB and S3 server: find, start, probe, stop."""
