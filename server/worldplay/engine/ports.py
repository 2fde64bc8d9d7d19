"""What the engine needs from a world, and what it tells a visitor's connection."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from worldplay.world.camera import Motion

if TYPE_CHECKING:  # only for their names: the engine itself runs without torch
    from worldplay.world.request import WalkRequest
    from worldplay.world.rollout import Chunk, Steering

Frames = NDArray[np.uint8]  # [n, H, W, 3] RGB


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """A finished chunk as its visitor hears of it, before its frames."""

    index: int
    frames: int
    controls_seq: int | None  # newest controls or poses message that its motions include
    latched_at_ms: float
    motions: list[Motion]
    poses: NDArray[np.float64]  # [n, 4, 4] c2w
    labels: list[int]
    timings_ms: dict[str, float]


class WalkPort(Protocol):
    """One visitor's walk with its decoder. Worker thread only."""

    @property
    def num_chunks(self) -> int: ...

    def generate(self, steering: Steering) -> Generator[object, None, Chunk]:
        """Make the next chunk, pausing between stages; closed at any pause, it leaves no trace."""
        ...

    def decode(self, chunk: Chunk) -> Iterator[Frames]: ...

    def truncate(self, num_chunks: int) -> None:
        """Go on as if only the first `num_chunks` chunks had been made."""
        ...

    def set_prompt(self, text: str) -> None: ...


class WorldPort(Protocol):
    """The model with its places. Worker thread only."""

    @property
    def fps(self) -> float: ...

    def open_walk(self, request: WalkRequest) -> WalkPort:
        """Begin a walk. Raises: ValueError if there is no such walk."""
        ...

    def free_memory(self) -> None:
        """Give back what caches hold, after running out of memory."""
        ...


class Listener(Protocol):
    """A visitor's connection. Called on the worker thread, one call at a time; must return quickly."""

    def on_queued(self, position: int, eta_s: float | None) -> None: ...

    def on_started(self) -> None: ...

    def on_chunk(self, report: ChunkReport) -> None: ...

    def on_frames(self, chunk_index: int, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        """Encode them, and say so to the session (`media_encoded`): only then are more chunks made."""
        ...

    def on_state(self, what: str, detail: dict[str, object]) -> None: ...

    def on_error(self, code: str, message: str, fatal: bool) -> None: ...
