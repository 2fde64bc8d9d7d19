"""Chunks without latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from worldplay.world.camera import Motion
from worldplay.world.chunk import Chunk
from worldplay.world.steering import Move

if TYPE_CHECKING:  # only for its name: these tests run without torch
    from torch import Tensor


def only_motions(moves: Sequence[Move]) -> list[Motion]:
    motions = [move for move in moves if isinstance(move, Motion)]
    assert len(motions) == len(moves), moves
    return motions


def make_chunk(index: int, motions: list[Motion], timings_ms: dict[str, float], kept: int = 0) -> Chunk:
    """A chunk without latents: nothing but a decoder looks at them."""
    return Chunk(
        index=index,
        first_latent=kept,
        num_frames=16 - 4 * kept if index or kept else 13,
        latents=cast("Tensor", None),
        poses=np.zeros((4, 4, 4)),
        motions=motions,
        labels=[0] * 4,
        stood=[0] * 4,
        bumped=any(motion.forward > 1 for motion in motions),
        context=[],
        timings_ms=timings_ms,
    )
