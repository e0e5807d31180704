"""Which calls do nothing but return their result."""

from stablint.static.torch_api.data import torch_api
from stablint.static.torch_api.groups import CREATIONS, words
from stablint.static.torch_api.names import canonical

IMPURE_METHODS = words(
    "backward item module_load numpy record_stream register_hook register_post_accumulate_grad_hook "
    "reinforce resize resize_as retain_grad tolist"
)
"""Methods of a tensor without trailing underscore that do more than return: `item` waits for the device."""

IMPURE_FUNCTIONS = words(
    "batch_norm instance_norm embedding embedding_bag assert_int_or_pair broadcast_shapes can_cast "
    "promote_types from_file"
)
"""Functions without trailing underscore that change an argument, or are called for the error they raise."""


def is_pure(dotted: str) -> bool:
    """Whether a call of this function, or method `torch.Tensor.x`, does nothing but return its result.

    The caller looks at `out=` and `inplace=`. Creations are not among them: `torch.zeros(1).cuda()` as a
    statement is how people start the device.
    """
    owner, _, last = canonical(dotted).rpartition(".")
    if last.endswith("_") or last in CREATIONS or last not in torch_api()["signatures"].get(owner, ()):
        return False
    if owner == "torch.Tensor":
        return last not in IMPURE_METHODS
    if owner == "torch":
        return last in torch_api()["tensor_functions"] and last not in IMPURE_FUNCTIONS
    is_functional = owner in ("torch.nn.functional", "torch.special", "torch.linalg", "torch.fft")
    return is_functional and last not in IMPURE_FUNCTIONS
