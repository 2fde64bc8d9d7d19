"""Fills networks with published weights, strictly."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from worldplay.world.weight_files import Weights, check_tensors

Module = TypeVar("Module", bound=nn.Module)
# Up to this size weights are copied from their files. Otherwise a file that is cut while the server runs ends
# the process with SIGBUS; docs/deploy.md says how to replace larger ones.
COPIED_BYTES = 256 * 2**20
Placer = Callable[[str], torch.device]  # parameter name -> its device


class _WithoutDrawing(TorchFunctionMode):
    """Draws no initial values: without memory that imports torch._dynamo, which takes a second."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        given = kwargs or {}
        return given["tensor"] if func is nn.init.normal_ else func(*args, **given)


def build_empty(make: Callable[[], Module]) -> Module:
    """Construct a network without memory for its parameters; `fill` provides it."""
    with torch.device("meta"), _WithoutDrawing():
        return make().requires_grad_(False).eval()


def fill(
    module: nn.Module,
    weights: Weights,
    dtype: torch.dtype,
    place: Placer,
    names: Mapping[str, str] | None = None,
) -> None:
    """Give an empty network its parameters, strictly: every one of them, and no others.

    Args:
        place: the device of each parameter, by name.
        names: the stored key of each parameter; None if the keys are the parameters' names.
    Raises: ValueError as `check_tensors`.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    names = names or {key: key for key in weights.keys}
    check_tensors(weights, wanted, names)
    copies = weights.num_bytes <= COPIED_BYTES
    state = {name: weights.read(key).to(place(name), dtype, copy=copies) for name, key in names.items()}
    module.load_state_dict(state, assign=True)
