"""Imitation of a motion over its phase, after DeepMimic (Peng et al., arXiv 1804.02717)."""
