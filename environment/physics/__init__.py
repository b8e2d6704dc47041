"""Simulators behind one contract."""
