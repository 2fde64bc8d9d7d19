"""A device that is not the CPU, without one: its tensors have a place and a shape, but no content."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

FAR = torch.device("meta")

aten = torch.ops.aten
TAKES_INDICES_FROM_THE_CPU = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}


class FarDevice(TorchDispatchMode):
    """Raises if operands are in two places, or content is asked for. Copies on the CPU are zeros."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Any,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        given = dict(kwargs or {})
        if getattr(func, "overloadpacket", None) is aten.to:  # is made of others
            with self:
                return func.decompose(*args, **given)
        if func is aten._to_copy.default and _is_to_cpu(args[0], given.get("device")):
            return torch.zeros(args[0].shape, dtype=given.get("dtype") or args[0].dtype)
        if func is aten.copy_.default:
            return args[0] if args[1].device == FAR else func(*args, **given)
        places = {each.device for each in _tensors((*args, *given.values())) if each.dim()}
        if len(places) > 1 and func not in TAKES_INDICES_FROM_THE_CPU:
            raise RuntimeError(f"{func} of operands on two devices: {sorted(map(str, places))}")
        return func(*args, **given)


def _is_to_cpu(tensor: Tensor, device: torch.device | None) -> bool:
    return tensor.device == FAR and device is not None and device.type == "cpu"


def _tensors(operands: Iterable[object]) -> Iterator[Tensor]:
    for each in operands:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, list | tuple):
            yield from _tensors(each)
