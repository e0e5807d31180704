"""Faults of reduced precision and gradient scaling."""
