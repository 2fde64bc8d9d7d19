"""The cuts of a recorded walk: which moves each chunk was generated for, one version after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from worldplay.model.config import CHUNK_LATENTS
from worldplay.world.steering import Move, PosedCamera

MAX_CUTS = 16  # of one chunk; a live one has not the time for half as many


@dataclass(frozen=True, slots=True)
class RecordedCut:
    """A cut, and what it threw away: cameras from the walk's latent `latent` to the end of its chunk."""

    latent: int
    cameras: list[PosedCamera]

    @property
    def chunk(self) -> int:
        return self.latent // CHUNK_LATENTS

    @property
    def kept(self) -> int:
        """Return how many latents of the chunk stayed."""
        return self.latent % CHUNK_LATENTS


def check_cuts(cuts: Sequence[RecordedCut], num_latents: int) -> None:
    """Check cuts against the length of their walk. Raises: ValueError saying what was expected."""
    for index, cut in enumerate(cuts):
        if cut.kept == 0 or not 0 < cut.latent < num_latents:
            raise ValueError(
                f"cuts[{index}].latent: expected a latent of the walk that does not begin a chunk of "
                f"{CHUNK_LATENTS}, got {cut.latent}"
            )
        if len(cut.cameras) != CHUNK_LATENTS - cut.kept:
            raise ValueError(
                f"cuts[{index}].poses: expected {CHUNK_LATENTS - cut.kept}, to the end of the chunk, "
                f"got {len(cut.cameras)}"
            )
        if index and cut.latent < cuts[index - 1].latent:
            before = cuts[index - 1].latent
            raise ValueError(f"cuts[{index}].latent: expected at least {before}, got {cut.latent}")
        if index >= MAX_CUTS and cuts[index - MAX_CUTS].chunk == cut.chunk:
            raise ValueError(f"cuts[{index}]: expected at most {MAX_CUTS} cuts of one chunk, got more")


def list_latches(moves: Sequence[Move], cuts: Sequence[RecordedCut]) -> list[list[Move]]:
    """List the moves of every latch of a walk: for each chunk, and then for its rest after each cut.

    Args:
        moves: to each latent but the first, as they were in the end.
    """
    latches: list[list[Move]] = []
    for start in range(0, 1 + len(moves), CHUNK_LATENTS):
        of_chunk = [cut for cut in cuts if cut.chunk == start // CHUNK_LATENTS]
        version = list(moves[max(0, start - 1) : start - 1 + CHUNK_LATENTS])
        skipped = start == 0  # no move leads to the very first latent
        rests = []
        for cut in reversed(of_chunk):
            kept = cut.kept - skipped
            rests.append(version[kept:])
            version = version[:kept] + list(cut.cameras)
        latches += [version, *reversed(rests)]
    return latches
