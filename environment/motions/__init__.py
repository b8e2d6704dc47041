"""Motions of a model, from files of its coordinates or whole states."""
