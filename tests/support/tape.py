"""Stands in for CUDA graphs on a CPU: records operations with their arguments, and does them again.

As in a CUDA graph, numbers are part of the recording, tensors are memory at a fixed place, and recording
itself computes nothing: whatever it wrote is restored. Recordings that share memory spoil what others made.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from worldplay.model.graphs import Tensors

Call = tuple[OpOverload, tuple[Any, ...], dict[str, Any], Any]


class Tape(TorchDispatchMode):
    """Records while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self._made: set[int] = set()  # storages that the recording made
        self._before: dict[int, tuple[Tensor, Tensor]] = {}  # memory from outside, and what it held

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        assert func is not torch.ops.aten._local_scalar_dense.default, "a tensor is read while recording"
        given = _storages([*args, *kwargs.values()])
        if func._schema.is_mutable:
            self._save([tensor for tensor in tree_leaves([*args, *kwargs.values()]) if _is_tensor(tensor)])
        result = func(*args, **kwargs)
        self._made |= _storages(result) - given
        self.calls.append((func, args, kwargs, result))
        return result

    def _save(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage._cdata not in self._made | self._before.keys():
                whole = torch.empty(0, dtype=torch.uint8).set_(storage)
                self._before[storage._cdata] = whole, whole.clone()

    def restore(self) -> None:
        for memory, before in self._before.values():
            memory.copy_(before)

    def spoil(self) -> None:
        """Lose all that was computed."""
        for tensor in tree_leaves([result for _, _, _, result in self.calls]):
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
                continue
            if tensor.untyped_storage()._cdata in self._made:
                tensor.fill_(torch.nan)

    def play(self) -> None:
        for func, args, kwargs, result in self.calls:
            given = _storages([*args, *kwargs.values()])
            for made, place in zip(tree_leaves(func(*args, **kwargs)), tree_leaves(result), strict=True):
                if _is_tensor(place) and place.untyped_storage()._cdata not in given:
                    place.copy_(made)


class TapeRecorder:
    """Makes tapes."""

    def __init__(self) -> None:
        self.replays = 0
        self._shared: list[Tape] = []

    def record(self, function: Callable[[], Tensors], *, alone: bool) -> tuple[Tensors, Callable[[], None]]:
        tape = Tape()
        with tape:
            outputs = function()
        tape.restore()
        tape.spoil()
        if not alone:
            self._shared.append(tape)

        def replay() -> None:
            self.replays += 1
            tape.play()
            for other in self._shared if not alone else ():
                if other is not tape:
                    other.spoil()

        return outputs, replay


def _is_tensor(leaf: object) -> bool:
    return isinstance(leaf, Tensor)


def _storages(tree: object) -> set[int]:
    return {leaf.untyped_storage()._cdata for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)}
