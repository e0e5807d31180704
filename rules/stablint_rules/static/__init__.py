"""Rules that read code."""
