"""Describes a walk as JSON, from which `render` and the HTTP API make it again: a recorded walk."""

from collections.abc import Iterator, Sequence

import numpy as np

from worldplay.model.config import CHUNK_LATENTS
from worldplay.world.camera import DEFAULT_INTRINSICS, MAX_POSES, Pose
from worldplay.world.recorded_cuts import RecordedCut
from worldplay.world.snapshot import Beginning, LoggedLatch, WalkedPath
from worldplay.world.steering import PosedCamera
from worldplay.world.walk import Ground, Path, follow

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
    described.update(_describe_lenses(path.intrinsics[:num_latents]))
    if changes := [change for change in path.prompts if 0 < change.latent < num_latents]:
        described["prompts"] = [{"latent": change.latent, "text": change.text} for change in changes]
    if cuts := [describe_cut(cut) for cut in list_cuts(path, ground, num_latents)]:
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


def list_cuts(path: WalkedPath, ground: Ground, num_latents: int) -> Iterator[RecordedCut]:
    """Yield what each cut threw away: the log has the moves, and the ground makes cameras of them again."""
    for start, latches in _latches_by_chunk(path.latches, num_latents).items():
        if len(latches) == 1:
            continue
        version = _follow(path, ground, start, latches[0])
        for latch in latches[1:]:
            kept = latch.latent - start
            cameras = zip(version.c2w, version.labels.tolist(), version.intrinsics, strict=True)
            yield RecordedCut(latch.latent, [PosedCamera(*each, is_reached=True) for each in cameras][kept:])
            version = version.first(kept).followed_by(follow(ground, version.c2w[kept - 1], latch.moves))


def describe_cut(cut: RecordedCut) -> dict[str, object]:
    """Describe what a cut threw away, as `parse_trajectory` reads it."""
    labels = [camera.label for camera in cut.cameras]
    lenses = [camera.intrinsics for camera in cut.cameras]
    return {
        "latent": cut.latent,
        "poses": _as_lists(np.stack([camera.c2w for camera in cut.cameras])),
        "labels": None if None in labels else labels,
        **_describe_lenses(np.stack([DEFAULT_INTRINSICS if lens is None else lens for lens in lenses])),
    }


def _latches_by_chunk(latches: Sequence[LoggedLatch], num_latents: int) -> dict[int, list[LoggedLatch]]:
    """Return the latches of each chunk, by the chunk's first latent."""
    chunks: dict[int, list[LoggedLatch]] = {}
    for latch in latches:
        if latch.latent < num_latents:
            chunks.setdefault(latch.latent // CHUNK_LATENTS * CHUNK_LATENTS, []).append(latch)
    return chunks


def _follow(path: WalkedPath, ground: Ground, start: int, latch: LoggedLatch) -> Path:
    """Return a chunk's path as its first latch planned it. No move leads to the walk's first camera."""
    planned = follow(ground, path.c2w[max(0, start - 1)], latch.moves)
    if start:
        return planned
    origin = Path(path.c2w[:1], path.labels[:1], path.intrinsics[:1], bumped=False, start=planned.start)
    return origin.followed_by(planned)


def _describe_lenses(intrinsics: Pose) -> dict[str, object]:
    """Describe the lenses of some latents, [n, 3, 3], unless all are the default."""
    if np.array_equal(intrinsics, np.broadcast_to(DEFAULT_INTRINSICS, intrinsics.shape)):
        return {}
    return {"intrinsics": intrinsics.tolist()}


def _as_lists(poses: Pose) -> list[list[float]]:
    flat: list[list[float]] = poses.reshape(-1, 16).tolist()
    return flat
