"""Describes a walk as JSON, from which `render` and the HTTP API make it again: a recorded walk."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from worldplay.model.config import CHUNK_LATENTS
from worldplay.world.camera import DEFAULT_INTRINSICS, MAX_POSES, Pose
from worldplay.world.snapshot import Beginning, LoggedLatch, WalkedPath
from worldplay.world.walk import Ground, follow

OWN_PICTURE = "the visitor's picture"  # whoever renders the walk must have it


def describe_walk(path: WalkedPath, ground: Ground, is_own_place: bool) -> dict[str, object]:
    """Describe a walk, up to the most poses that a recorded walk may have.

    Args:
        ground: of the view where the walk began.
        is_own_place: whether it began in the visitor's picture, if there is one.
    """
    num_latents = min(len(path.labels), MAX_POSES // CHUNK_LATENTS * CHUNK_LATENTS)
    described = _describe_beginning(path.beginning, is_own_place)
    described["prompt"] = path.prompt_at(0)
    described["poses"] = _as_lists(path.c2w[:num_latents])
    described["labels"] = path.labels[:num_latents].tolist()
    if not np.array_equal(path.intrinsics, np.broadcast_to(DEFAULT_INTRINSICS, path.intrinsics.shape)):
        described["intrinsics"] = path.intrinsics[:num_latents].tolist()
    if changes := [change for change in path.prompts if 0 < change.latent < num_latents]:
        described["prompts"] = [{"latent": change.latent, "text": change.text} for change in changes]
    if cuts := list(_describe_cuts(path, ground, num_latents)):
        described["cuts"] = cuts
    return described


def _describe_beginning(beginning: Beginning, is_own_place: bool) -> dict[str, object]:
    described: dict[str, object] = {
        "model": beginning.world.name,
        "size": list(beginning.world.size),
        "seed": beginning.seed,
    }
    if beginning.steps is not None:
        described["steps"] = beginning.steps
    if beginning.picture is not None and is_own_place:
        described["image"] = {"path": OWN_PICTURE}
    else:
        described["view"] = beginning.view
    return described


def _describe_cuts(path: WalkedPath, ground: Ground, num_latents: int) -> Iterator[dict[str, object]]:
    """Yield what each cut threw away: the log has the moves, and the ground makes cameras of them again."""
    for start, latches in _latches_by_chunk(path.latches, num_latents).items():
        if len(latches) == 1:
            continue
        poses, labels = _follow(path, ground, start, latches[0])
        for latch in latches[1:]:
            kept = latch.latent - start
            yield {
                "latent": latch.latent,
                "poses": _as_lists(poses[kept:]),
                "labels": labels[kept:].tolist(),
            }
            rest = follow(ground, poses[kept - 1], latch.moves)
            poses = np.concatenate([poses[:kept], rest.c2w])
            labels = np.concatenate([labels[:kept], rest.labels])


def _latches_by_chunk(latches: Sequence[LoggedLatch], num_latents: int) -> dict[int, list[LoggedLatch]]:
    """Return the latches of each chunk, by the chunk's first latent."""
    chunks: dict[int, list[LoggedLatch]] = {}
    for latch in latches:
        if latch.latent < num_latents:
            chunks.setdefault(latch.latent // CHUNK_LATENTS * CHUNK_LATENTS, []).append(latch)
    return chunks


def _follow(
    path: WalkedPath, ground: Ground, start: int, latch: LoggedLatch
) -> tuple[Pose, NDArray[np.int64]]:
    """Return a chunk's cameras as its first latch planned them. No move leads to the walk's first camera."""
    if start:
        planned = follow(ground, path.c2w[start - 1], latch.moves)
        return planned.c2w, planned.labels
    planned = follow(ground, path.c2w[0], latch.moves)
    return np.concatenate([path.c2w[:1], planned.c2w]), np.concatenate([path.labels[:1], planned.labels])


def _as_lists(poses: Pose) -> list[list[float]]:
    flat: list[list[float]] = poses.reshape(-1, 16).tolist()
    return flat
