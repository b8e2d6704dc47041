"""Runs side by side: learning curves of groups of runs, and a recipe without one ingredient after another."""
