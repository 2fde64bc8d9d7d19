"""Records the operations of a pass once and repeats them as a whole: on a GPU, as CUDA graphs.

A recording reads the memory that it was made with, and no numbers. So whatever a pass depends on is one of

* an input: a tensor, copied to where the recording reads it, like timesteps, actions, cameras and positions;
* memory that keeps its place, like weights and caches;
* part of the recording's key, like lengths and places in a cache. The inputs' shapes and dtypes always are.
"""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import torch
from cachetools import LRUCache
from torch import Tensor

logger = logging.getLogger(__name__)

Tensors = tuple[Tensor, ...]
MOST = 96  # recordings kept, a few MB each


class Recorder(Protocol):
    """Makes recordings."""

    def record(self, function: Callable[[], Tensors], *, alone: bool) -> tuple[Tensors, Callable[[], None]]:
        """Record what a function would launch; nothing is computed.

        Args: alone: the results are kept until the next replay, whatever else is replayed meanwhile.
        Returns: the tensors that every replay fills with its results, and what replays.
        """
        ...


class CudaRecorder:
    """Records CUDA graphs. All that are not alone share memory, so a replay overwrites others' results."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, function: Callable[[], Tensors], *, alone: bool) -> tuple[Tensors, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        pool = None if alone else self._pool
        mode = "thread_local"  # other threads may go on using the GPU meanwhile
        before = torch.cuda.current_stream(self._device)
        try:
            with torch.cuda.device(self._device), torch.cuda.graph(graph, pool, self._stream, mode):
                outputs = function()
        finally:
            torch.cuda.set_stream(before)  # torch leaves it at the recording's if that fails
        return outputs, graph.replay


@dataclass(frozen=True, slots=True)
class _Recording:
    inputs: Tensors
    outputs: Tensors
    replay: Callable[[], None]

    def run(self, inputs: Tensors) -> Tensors:
        for place, value in zip(self.inputs, inputs, strict=True):
            place.copy_(value)
        self.replay()
        return self.outputs


class Graphs:
    """Runs functions of tensors: plainly the first time, and from a recording later.

    A function may also read and write memory that keeps its place. If recording fails, all functions run
    plainly from then on.
    """

    def __init__(self, recorder: Recorder, most: int = MOST) -> None:
        self._recorder = recorder
        self._recordings: LRUCache[Hashable, _Recording] = LRUCache(most)
        self._kept: dict[Hashable, _Recording] = {}
        self._seen: LRUCache[Hashable, bool] = LRUCache(most)
        self._works = True

    @property
    def count(self) -> int:
        """Return the number of recordings."""
        return len(self._recordings) + len(self._kept)

    def run(self, key: Hashable, function: Callable[..., Tensors], inputs: Tensors) -> Tensors:
        """Compute function(*inputs). The first time also loads kernels, which cannot be done in a recording.

        Args: key: names the function, and all that it depends on beside its inputs.
        """
        key = key, _describe(inputs)
        if key not in self._recordings:
            if key not in self._seen or not self._works:
                self._seen[key] = True
                return function(*inputs)
            recording = self._record(function, inputs, alone=False)
            if recording is None:
                return function(*inputs)
            self._recordings[key] = recording
        return tuple(output.clone() for output in self._recordings[key].run(inputs))

    def run_in_place(self, key: Hashable, function: Callable[..., Tensors], inputs: Tensors) -> Tensors:
        """Compute function(*inputs), to results that have the same place whenever the shapes are the same.

        So other recordings can read them. They hold until the next call with inputs of these shapes.
        """
        key = key, _describe(inputs)
        if key not in self._kept:
            results = function(*inputs)
            recording = self._record(function, inputs, alone=True) if self._works else None
            if recording is None:
                return results
            self._kept[key] = recording
        return self._kept[key].run(inputs)

    def clear(self) -> None:
        """Forget all recordings: something that they read has another place, or another function."""
        self._recordings.clear()
        self._kept.clear()
        self._seen.clear()

    def _record(self, function: Callable[..., Tensors], inputs: Tensors, *, alone: bool) -> _Recording | None:
        places = tuple(value.clone() for value in inputs)
        try:
            outputs, replay = self._recorder.record(lambda: function(*places), alone=alone)
        except RuntimeError as error:  # memory is short, or an operation cannot be recorded
            logger.warning("recording failed, operations are launched one by one: %s", error)
            self._works = False
            self.clear()
            return None
        return _Recording(places, outputs, replay)


def _describe(inputs: Tensors) -> Hashable:
    return tuple((value.shape, value.dtype) for value in inputs)
