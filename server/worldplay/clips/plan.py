"""Checks the options of a clip, and plans it."""

import secrets
from dataclasses import dataclass
from typing import Protocol

from PIL.Image import Image

from worldplay.engine.clip_run import ClipRequest
from worldplay.model.config import CHUNK_LATENTS
from worldplay.wording import is_text, show
from worldplay.world.camera import MAX_POSES
from worldplay.world.frames import SIZE_UNIT, check_num_frames, count_frames, count_latents
from worldplay.world.pictures.fit import crop_picture
from worldplay.world.pose_files import Trajectory, parse_trajectory
from worldplay.world.recorded_cuts import list_latches
from worldplay.world.rollout_config import MAX_STEPS
from worldplay.world.steering import ReplaySteering, TrajectorySteering, WalkRequest

DEFAULT_FRAMES = 125
LONGEST = count_frames(MAX_POSES)  # frames; an hour


class ClipError(ValueError):
    """An option is not possible; `field` is its name in the HTTP API."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.reason = message


class ClipTarget(Protocol):
    """The world that will make a clip; it need not be loaded yet."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def chunk_latents(self) -> int: ...

    def find_view(self, name: str | None) -> object: ...


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """The options of a clip. `plan_clip` chooses those that are None."""

    prompt: str
    view: str | None = None
    image: Image | None = None
    pose: object = None  # a pose string or what `parse_trajectory` reads
    num_frames: int | None = None
    seed: int | None = None
    steps: int | None = None
    variant: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A clip that can be made: the engine's request, and the values that were chosen."""

    request: ClipRequest
    seed: int
    pose: object
    trajectory: Trajectory
    num_frames: int
    num_unused_poses: int  # at the end of a pose that is longer than the clip


def plan_clip(target: ClipTarget, options: ClipOptions, max_frames: int = LONGEST) -> ClipPlan:
    """Check options against a world, and choose those that are None.

    Raises: ClipError naming the field, what was expected and what was found.
    """
    _check_target(target, options)
    if not is_text(options.prompt):
        raise ClipError("prompt", "expected text in UTF-8, got other bytes")
    given = None if options.pose is None else _read_pose(options.pose)
    num_frames = _choose_num_frames(options, given)
    num_latents = _count_latents(options, num_frames, target.chunk_latents, max_frames)
    pose = f"w-{num_latents - 1}" if given is None else options.pose
    whole = given or _read_pose(pose)
    trajectory = _shorten(whole, num_latents, num_frames)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    picture = None if options.image is None else crop_picture(options.image, target.width, target.height)
    walk = WalkRequest(options.view, picture, options.prompt, seed, options.steps, trajectory.origin)
    request = _request(target, walk, trajectory)
    return ClipPlan(request, seed, pose, trajectory, num_frames, whole.num_latents - num_latents)


def _request(target: ClipTarget, walk: WalkRequest, trajectory: Trajectory) -> ClipRequest:
    """Make the engine's request. Only models whose chunks are as long as the walk's make its cuts again."""
    num_chunks = trajectory.num_latents // target.chunk_latents
    # In a longer chunk than the walk's, a prompt begins with the next chunk.
    starts = {-(-latent // target.chunk_latents): text for latent, text in trajectory.prompts.items()}
    prompts = {chunk: text for chunk, text in starts.items() if chunk < num_chunks}
    if not trajectory.cuts or target.chunk_latents != CHUNK_LATENTS:
        return ClipRequest(walk, TrajectorySteering(trajectory.moves), num_chunks, prompts=prompts)
    steering = ReplaySteering(list_latches(trajectory.moves, trajectory.cuts))
    kept = [[cut.kept for cut in trajectory.cuts if cut.chunk == chunk] for chunk in range(num_chunks)]
    return ClipRequest(walk, steering, num_chunks, kept, prompts)


def _choose_num_frames(options: ClipOptions, trajectory: Trajectory | None) -> int:
    if options.num_frames is not None:
        return options.num_frames
    return DEFAULT_FRAMES if trajectory is None else count_frames(trajectory.num_latents)


def _shorten(trajectory: Trajectory, num_latents: int, num_frames: int) -> Trajectory:
    """Take the beginning of a trajectory. Raises: ClipError if it is too short."""
    if trajectory.num_latents < num_latents:
        raise ClipError(
            "pose",
            f"expected poses for {num_latents} latents ({_count_motions(num_latents - 1)}) "
            f"with {num_frames} frames, "
            f"got {trajectory.num_latents} ({_count_motions(len(trajectory.moves))})",
        )
    return trajectory.first(num_latents)


def _count_motions(count: int) -> str:
    return "1 motion" if count == 1 else f"{count} motions"


def _check_target(target: ClipTarget, options: ClipOptions) -> None:
    _check_side("width", options.width, target.width)
    _check_side("height", options.height, target.height)
    if options.variant not in (None, target.name):
        got = show(options.variant)
        raise ClipError("variant", f"expected {target.name!r}, which is loaded, got {got}")
    if options.steps is not None and not 1 <= options.steps <= MAX_STEPS:
        raise ClipError("num_inference_steps", f"expected 1 to {MAX_STEPS}, got {show(options.steps)}")
    try:
        target.find_view(options.view)
    except ValueError as error:
        raise ClipError("view", str(error)) from None


def _check_side(field: str, got: int | None, expected: int) -> None:
    if got is not None and got % SIZE_UNIT:
        raise ClipError(field, f"expected a multiple of {SIZE_UNIT}, got {got}")
    if got is not None and got != expected:
        raise ClipError(field, f"expected {expected}, the size of the loaded model, got {got}")


def _read_pose(pose: object) -> Trajectory:
    try:
        return parse_trajectory(pose)
    except ValueError as error:
        raise ClipError("pose", str(error)) from None


def _count_latents(options: ClipOptions, num_frames: int, chunk_latents: int, max_frames: int) -> int:
    try:
        return check_num_frames(num_frames, chunk_latents, max_frames)
    except ValueError as error:
        if options.num_frames is not None:
            raise ClipError("num_frames", str(error)) from None
        advice = _advise_num_frames(count_latents(num_frames), chunk_latents, max_frames)
        raise ClipError("pose", f"{error}{advice}") from None


def _advise_num_frames(num_poses: int, chunk_latents: int, max_frames: int) -> str:
    """Say how many frames to ask for if poses do not make whole chunks, and which poses that omits."""
    fitting = min(num_poses, count_latents(max_frames)) // chunk_latents * chunk_latents
    if not fitting:
        return ""
    left_out = "the last pose" if num_poses - fitting == 1 else f"the last {num_poses - fitting} poses"
    return f": ask for {count_frames(fitting)} frames to leave out {left_out} of {num_poses}"
