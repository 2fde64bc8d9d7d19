"""Decodes latents in the middle of a stream from one recording, for all streams in turn."""

from collections.abc import Callable
from weakref import ref

from torch import Tensor

from worldplay.model.graphs import Graphs
from worldplay.model.vae_stream import FeatureCache


class SteadyDecoder:
    """Decodes single latents. The past of the stream that was decoded last lies where the recording has it.

    If another stream is decoded, the former one gets a copy of its past.
    """

    def __init__(self, graphs: Graphs, decode_in_place: Callable[[Tensor, FeatureCache], Tensor]) -> None:
        """Args: decode_in_place: decodes a latent and updates the tensors of the past."""
        self._graphs = graphs
        self._decode_in_place = decode_in_place
        self._places: list[Tensor] = []
        self._latest: ref[FeatureCache] | None = None

    def decode(self, latent: Tensor, state: FeatureCache) -> Tensor:
        """Decode the next latent, [1, C, 1, h, w], of a stream that has begun."""
        self._take(state)
        (pixels,) = self._graphs.run("latent", self._decode, (latent,))
        return pixels

    def _decode(self, latent: Tensor) -> tuple[Tensor]:
        return (self._decode_in_place(latent, FeatureCache(self._places)),)

    def _take(self, state: FeatureCache) -> None:
        """Bring a stream's past to where the recording has it."""
        if state.slots is self._places:
            return
        self._return_latest()
        if [slot.shape for slot in state.slots] == [place.shape for place in self._places]:
            for place, slot in zip(self._places, state.slots, strict=True):
                place.copy_(slot)
        else:  # the first stream, or pictures of another size
            self._graphs.clear()
            self._places = state.clone().slots
        state.slots, self._latest = self._places, ref(state)

    def _return_latest(self) -> None:
        latest = None if self._latest is None else self._latest()
        if latest is not None and latest.slots is self._places:
            latest.slots = latest.clone().slots
