"""A device that is not the CPU, without one: its tensors have a place and a shape, but no content."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

FAR = torch.device("meta")

aten = torch.ops.aten
TAKES_INDICES = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}


class FarDevice(TorchDispatchMode):
    """Raises if operands are in two places, or content is asked for otherwise than by copying to the CPU.

    Copies on the CPU are zeros; `num_read` counts them.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.num_read = 0

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
            self.num_read += 1
            return torch.zeros(args[0].shape, dtype=given.get("dtype") or args[0].dtype)
        if func is aten.copy_.default:
            return self._copy(*args[:2])
        operands = [*args, *given.values()]
        if func in TAKES_INDICES and args[0].device == FAR:  # on the CPU, too
            del operands[1]
        places = {each.device for each in _tensors(operands) if each.dim()}
        if isinstance(drawn_by := given.get("generator"), torch.Generator):
            places |= {drawn_by.device, given.get("device") or drawn_by.device}
        if len(places) > 1:
            raise RuntimeError(f"{func} of operands on two devices: {sorted(map(str, places))}")
        return func(*args, **given)

    def _copy(self, target: Tensor, source: Tensor) -> Tensor:
        torch.broadcast_to(source, target.shape)
        if source.device == FAR:
            if target.device == FAR:
                return target
            self.num_read += 1
            return target.zero_()
        return target if target.device == FAR else target.copy_(source)


def to_list(tensor: Tensor) -> object:
    """Do what Tensor.tolist does, so that it raises without content; by itself it would return zeros."""
    return tensor.numpy().tolist()


def _is_to_cpu(tensor: Tensor, device: torch.device | None) -> bool:
    return tensor.device == FAR and device is not None and device.type == "cpu"


def _tensors(operands: Iterable[object]) -> Iterator[Tensor]:
    for each in operands:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, list | tuple):
            yield from _tensors(each)
