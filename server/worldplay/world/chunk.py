"""Chunks: one in progress, made stage by stage, and a finished one with its description."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from worldplay.world.camera import Motion, Pose

if TYPE_CHECKING:  # only for its name: the engine runs without torch
    from torch import Tensor

Stage = Literal["context", "step"]  # the context pass, or one denoising step


@dataclass(frozen=True, slots=True)
class Chunk:
    """A finished chunk of n latent frames, and how it was made.

    After a cut it describes the whole chunk, but brings only the latents that were made then.
    """

    index: int
    first_latent: int  # number in the chunk of the first latent made; over 0 after a cut
    num_frames: int  # of video, of the latents made: 4 for each, but 1 for the walk's first
    latents: Tensor  # [1, C, n - first_latent, h, w]
    poses: Pose  # [n, 4, 4] c2w
    motions: list[Motion]  # that led to each pose, as taken
    labels: list[int]
    # Per latent: length of the run of unchanged latents that ends with it; 0 if the world may move.
    stood: list[int]
    bumped: bool  # on the way to the latents made
    context: list[int]  # the latent frames it was generated from
    timings_ms: dict[str, float]  # select, context, denoise
    relit: bool = False  # context includes that the walk's first chunk was made again


class PendingChunk:
    """A chunk in progress. Creating it computes nothing; closing it before its end changes nothing."""

    def __init__(self, stages: Generator[Stage, None, Chunk]) -> None:
        """Take a generator that yields each stage's name before it does the stage, and returns the chunk."""
        self._stages = stages
        self.next_stage = next(stages)

    def advance(self) -> Chunk | None:
        """Do the next stage. Returns: the chunk after its last stage, None before."""
        try:
            self.next_stage = next(self._stages)
        except StopIteration as end:
            chunk: Chunk = end.value
            return chunk
        return None

    def finish(self) -> Chunk:
        """Do all stages that are left."""
        while (chunk := self.advance()) is None:
            pass
        return chunk

    def close(self) -> None:
        """Drop the chunk."""
        self._stages.close()
