"""Layers put together so that the signal or the gradient dies on the way."""
