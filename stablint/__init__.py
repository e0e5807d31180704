"""stablint: will this PyTorch training be numerically stable?

Nothing is imported here: `stablint --version` and the rule pages must not pay for libcst, nor `check` for torch.
"""

__version__ = "0.1.0"
