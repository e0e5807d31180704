"""Telling from its bytes that a file cannot concern torch, so that it need not be parsed."""

from __future__ import annotations

NAMES = (
    b"torch",  # also torchvision, pytorch_lightning, torch_xla and their like
    b"lightning",
    b"transformers",
    b"accelerate",
    b"deepspeed",
    b"skorch",
    b"ignite",
    b"fastai",
    b"timm",
    b"monai",
    b"diffusers",
    b"mmengine",
    b"ultralytics",
    # A file of a project may train what another file made, and import nothing but that file.
    b".backward(",
    b"zero_grad",
)


def may_concern_torch(data: bytes) -> bool:
    """Say whether torch, a framework built on it or a step of training occurs anywhere in a file.

    In a notebook, the text that cells have printed counts too: that costs a parse and never a finding.
    """
    if b"\0" in data:
        data = data.replace(b"\0", b"")  # UTF-16 and UTF-32 put NULs between the letters
    return any(name in data for name in NAMES)
