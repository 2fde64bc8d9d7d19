"""Plans a clip of a saved walk: the same latents again, with every cut and every prompt."""

from PIL import Image

from worldplay.clips.plan import ClipPlan
from worldplay.engine.clip_run import ClipRequest
from worldplay.model.config import CHUNK_LATENTS
from worldplay.world import recorded_walk
from worldplay.world.frames import count_frames
from worldplay.world.pictures.fit import StartPicture
from worldplay.world.pose_files import Trajectory
from worldplay.world.snapshot import Beginning, Snapshot
from worldplay.world.steering import PosedCamera, ReplaySteering, WalkRequest
from worldplay.world.walk import Ground


def plan_saved_walk(snapshot: Snapshot, ground: Ground) -> ClipPlan:
    """Plan the clip of a whole walk of at least one chunk. `ground`: of the view where it began."""
    beginning = _beginning_of(snapshot)
    trajectory = _trajectory(snapshot, beginning, ground)
    request = ClipRequest(
        walk=begin_again(snapshot),
        steering=ReplaySteering([latch.moves for latch in snapshot.latches]),
        num_chunks=snapshot.num_chunks,
        cuts=kept_by_cuts(snapshot),
        prompts=list_prompts(snapshot),
    )
    num_frames = count_frames(snapshot.end)
    return ClipPlan(request, beginning.seed, None, trajectory, num_frames, num_unused_poses=0)


def begin_again(snapshot: Snapshot) -> WalkRequest:
    """Return the request that opens the same walk once more."""
    beginning, prompt = _beginning_of(snapshot), snapshot.prompts[0].text
    given, picture = beginning.picture, None
    if given is not None:
        fitted = Image.fromarray(given.fitted)
        picture = StartPicture(fitted, fitted if given.siglip is None else Image.fromarray(given.siglip))
    return WalkRequest(beginning.view, picture, prompt, beginning.seed, beginning.steps, beginning.origin)


def _beginning_of(snapshot: Snapshot) -> Beginning:
    assert snapshot.beginning is not None, "a part of a walk"
    return snapshot.beginning


def own_picture(snapshot: Snapshot) -> dict[str, str] | None:
    """Return how a walk's JSON names the visitor's own picture, which it does not hold; None without one."""
    beginning = snapshot.beginning
    return None if beginning is None or beginning.picture is None else {"path": recorded_walk.OWN_PICTURE}


def kept_by_cuts(snapshot: Snapshot) -> list[list[int]]:
    """Return for each chunk how many latents each of its cuts kept."""
    cuts: list[list[int]] = [[] for _ in range(snapshot.num_chunks)]
    for latch in snapshot.latches:
        chunk, kept = divmod(latch.latent, CHUNK_LATENTS)
        if kept:
            cuts[chunk].append(kept)
    return cuts


def list_prompts(snapshot: Snapshot) -> dict[int, str]:
    """Return the prompts that begin at a chunk, but not that of the first one."""
    return {change.latent // CHUNK_LATENTS: change.text for change in snapshot.prompts[1:]}


def _trajectory(snapshot: Snapshot, beginning: Beginning, ground: Ground) -> Trajectory:
    """Return the cameras as they were in the end, and what led to other latents than these alone."""
    cameras = zip(snapshot.c2w, snapshot.labels.tolist(), snapshot.intrinsics, strict=True)
    placed = [PosedCamera(*camera) for camera in cameras]
    cuts = list(recorded_walk.list_cuts(snapshot.path(), ground, snapshot.end))
    prompts = {change.latent: change.text for change in snapshot.prompts[1:] if change.latent < snapshot.end}
    return Trajectory(beginning.origin, list(placed[1:]), cuts, prompts)
