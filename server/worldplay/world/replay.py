"""Makes a saved walk again, chunk by chunk, and compares the latents."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from worldplay.model.config import CHUNK_LATENTS
from worldplay.world.live_walk import LiveWalk
from worldplay.world.snapshot import Snapshot
from worldplay.world.steering import ReplaySteering


@dataclass(frozen=True, slots=True)
class ReplayedChunk:
    """How far a chunk that was made again is from the saved one."""

    index: int
    difference: float  # the largest of any number of its latents; 0: they are equal
    moved: float  # the largest of any number of its poses


@torch.inference_mode()
def replay(walk: LiveWalk, snapshot: Snapshot) -> Iterator[ReplayedChunk]:
    """Make a saved walk again. `walk` is new, and begins as it did."""
    steering = ReplaySteering([latch.moves for latch in snapshot.latches])
    prompts = {change.latent: change.text for change in snapshot.prompts[1:]}
    for start in range(0, snapshot.end, CHUNK_LATENTS):
        if start in prompts:
            walk.set_prompt(prompts[start])
        walk.begin_chunk(steering).finish()
        for latch in snapshot.latches:
            if start < latch.latent < start + CHUNK_LATENTS:
                walk.begin_cut(latch.latent - start, steering).finish()
        yield _compare(walk, snapshot, start)


def _compare(walk: LiveWalk, snapshot: Snapshot, start: int) -> ReplayedChunk:
    made = walk.snapshot(start)
    saved = slice(start, start + CHUNK_LATENTS)
    difference = (made.latents.float() - snapshot.latents[saved].float()).abs().max()
    moved = abs(made.c2w - snapshot.c2w[saved]).max()
    return ReplayedChunk(start // CHUNK_LATENTS, float(difference), float(moved))
