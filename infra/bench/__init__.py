"""Benchmarks that a reader can run: ours beside a peer, measured in the same run on the same machine."""
