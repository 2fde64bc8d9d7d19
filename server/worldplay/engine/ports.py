"""Interfaces: what the engine needs from a world, and what it reports to a client's connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worldplay.engine.controls import Latch
from worldplay.world.chunk import Chunk, PendingChunk
from worldplay.world.snapshot import Snapshot, WalkedPath
from worldplay.world.steering import Move, Steering, WalkRequest

Frames = NDArray[np.uint8]  # [n, H, W, 3] RGB; for an encoder also [n, 3 * H / 2, W], planes of YUV 4:2:0


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """A finished chunk and the controls that it used. It is reported before its frames."""

    chunk: Chunk
    latch: Latch
    revision: int = 0  # how often the chunk was reported before, since it was begun


class WalkPort(Protocol):
    """One walk with its decoder. Worker thread only, but a decoder thread may take what `decode` yields.

    While it does, the worker may make chunks and copy the walk, and nothing else.
    """

    @property
    def num_chunks(self) -> int: ...

    @property
    def taken_as(self) -> str | None:
        """Title of the suggestion that the prompt was taken as; None if the model follows any text."""
        ...

    @property
    def holds_context(self) -> bool:
        """Return whether the caches hold the newest finished chunk's context. If so, a cut costs less."""
        ...

    def begin_chunk(self, steering: Steering) -> PendingChunk: ...

    def begin_cut(self, kept: int, steering: Steering) -> PendingChunk:
        """Begin to make the newest finished chunk again, from latent number `kept` on."""
        ...

    def differs(self, kept: int, moves: Sequence[Move]) -> bool:
        """Return whether these moves lead elsewhere than the newest finished chunk, from latent `kept` on."""
        ...

    def decode(self, chunk: Chunk) -> Iterator[Frames]:
        """Decode the latents that a chunk brings, one by one. Chunks are decoded in order."""
        ...

    def decode_for_encoder(self, chunk: Chunk) -> Iterator[Frames]:
        """Decode as `decode`, but in the form that an encoder takes with the least work."""
        ...

    def truncate(self, num_chunks: int) -> None:
        """Continue as if only the first `num_chunks` chunks had been made."""
        ...

    def set_prompt(self, text: str) -> None: ...

    def release(self) -> None:
        """Release what can be computed again, because the walk rests."""
        ...

    def prepare(self) -> None:
        """Compute again what was released."""
        ...

    def snapshot(self) -> Snapshot:
        """Copy the whole walk."""
        ...

    def path(self) -> WalkedPath:
        """Return where the walk went. Costs nothing."""
        ...

    def take_unsaved(self) -> Snapshot:
        """Return the part that is not saved, which counts as saved from now on."""
        ...

    def show_last(self) -> Chunk | None:
        """Return the last latent of a restored walk, to be decoded now; None if there is none."""
        ...

    def count_unsaved(self, first: int) -> None:
        """Note that the latents from `first` on are not saved after all."""
        ...


class WorldPort(Protocol):
    """The model with its start views. Worker thread only."""

    @property
    def fps(self) -> float: ...

    def open_walk(self, request: WalkRequest) -> WalkPort:
        """Open a walk. Raises: ValueError if the request is not possible."""
        ...

    def free_memory(self) -> None:
        """Release cached memory, after running out of memory."""
        ...


class Listener(Protocol):
    """A client's connection. Called one call at a time; must return quickly.

    Calls come from the worker thread. What is told when a latent is decoded, `on_chunk`, `on_frames` and
    `on_state` of a bump, comes from the decoder thread if there is one, and an
    error from the thread that opens a session with an engine that has stopped.
    """

    def on_queued(self, position: int, eta_s: float | None) -> None:
        """The session waits at another position than before; 1 is next."""
        ...

    def on_still_queued(self, position: int, eta_s: float | None, waited_s: float) -> None:
        """The session has waited at this position for so long. Told now and then."""
        ...

    def on_slot(self) -> None:
        """The session has got a slot, or has it again."""
        ...

    def on_started(self, prompt: str, taken_as: str | None) -> None:
        """Hear that a walk begins, with its prompt and the suggestion that it was taken as, if any."""
        ...

    def on_chunk(self, report: ChunkReport) -> None: ...

    def on_frames(self, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        """Encode the frames, then call the session's `media_encoded`; only then more chunks are made."""
        ...

    def on_state(self, what: str, detail: dict[str, object]) -> None: ...

    def on_error(self, code: str, message: str, fatal: bool) -> None: ...

    def on_changed(self, walk: WalkPort) -> None:
        """The walk has changed, and may be saved. It must not be used after this call."""
        ...

    def on_resting(self, walk: WalkPort) -> None:
        """The walk will not change for a while: this is the time to save it."""
        ...

    def on_ended(self, walk: WalkPort | None) -> None:
        """The session has ended, and its walk will never change again. None: it was never opened."""
        ...
