"""Data: samplers, loaders and the random numbers of their workers."""
