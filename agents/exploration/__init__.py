"""Exploration: what is tried instead of the policy's own action while data is gathered, and how much of it."""
