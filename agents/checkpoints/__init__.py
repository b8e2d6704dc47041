"""Checkpoints: small immutable versions in an S3 bucket, the pointer written last."""
