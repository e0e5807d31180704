"""Weights that start where training cannot use them."""
