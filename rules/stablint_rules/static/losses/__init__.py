"""Faults in what a loss function is fed."""
