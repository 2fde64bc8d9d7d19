"""What may be asked of a clip, and whether the world can make it."""

import secrets
from dataclasses import dataclass
from typing import Protocol

from PIL.Image import Image

from worldplay.world.camera import MAX_POSES
from worldplay.world.frames import SIZE_UNIT, check_num_frames
from worldplay.world.images import cut_picture
from worldplay.world.pose_files import Trajectory, parse_trajectory
from worldplay.world.steering import WalkRequest

DEFAULT_FRAMES = 125
LONGEST = 4 * MAX_POSES - 3  # frames; an hour
MAX_STEPS = 100


class ClipError(ValueError):
    """One of the wishes cannot be met; `field` is its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.reason = message


class Maker(Protocol):
    """A world, or the prospect of one."""

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
class ClipWish:
    """What somebody asks for; what is None is the world's or the planner's to choose."""

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
    """A clip that can be made."""

    walk: WalkRequest
    seed: int
    pose: object
    trajectory: Trajectory
    num_frames: int
    num_chunks: int


def plan_clip(maker: Maker, wish: ClipWish, max_frames: int = LONGEST) -> ClipPlan:
    """Check a wish against a world, loaded or not yet, and fill in what it leaves open.

    Raises: ClipError naming the field, what was expected and what was found.
    """
    _check_model(maker, wish)
    chunk_latents = maker.chunk_latents
    pose, num_frames = wish.pose, wish.num_frames
    trajectory = None if pose is None else _read_pose(pose)
    if num_frames is None:
        num_frames = DEFAULT_FRAMES if trajectory is None else 4 * trajectory.num_latents - 3
    field = "pose" if wish.num_frames is None else "num_frames"
    num_latents = _count_latents(field, num_frames, chunk_latents, max_frames)
    if trajectory is None:
        pose = f"w-{num_latents - 1}"
        trajectory = _read_pose(pose)
    if trajectory.num_latents != num_latents:
        raise ClipError(
            "pose",
            f"expected poses for {num_latents} latents ({num_latents - 1} motions) with {num_frames} frames, "
            f"got {trajectory.num_latents} ({len(trajectory.moves)} motions)",
        )
    seed = secrets.randbits(32) if wish.seed is None else wish.seed
    picture = None if wish.image is None else cut_picture(wish.image, maker.width, maker.height)
    walk = WalkRequest(wish.view, picture, wish.prompt, seed, wish.steps, trajectory.origin)
    return ClipPlan(walk, seed, pose, trajectory, num_frames, num_latents // chunk_latents)


def _check_model(maker: Maker, wish: ClipWish) -> None:
    for field, got in (("width", wish.width), ("height", wish.height)):
        expected: int = getattr(maker, field)
        if got is not None and got % SIZE_UNIT:
            raise ClipError(field, f"expected a multiple of {SIZE_UNIT}, got {got}")
        if got is not None and got != expected:
            raise ClipError(field, f"expected {expected}, the size of the loaded model, got {got}")
    if wish.variant not in (None, maker.name):
        raise ClipError("variant", f"expected {maker.name!r}, which is loaded, got {wish.variant!r}")
    if wish.steps is not None and not 1 <= wish.steps <= MAX_STEPS:
        raise ClipError("num_inference_steps", f"expected 1 to {MAX_STEPS}, got {wish.steps}")
    try:
        maker.find_view(wish.view)
    except ValueError as error:
        raise ClipError("view", str(error)) from None


def _read_pose(pose: object) -> Trajectory:
    try:
        return parse_trajectory(pose)
    except ValueError as error:
        raise ClipError("pose", str(error)) from None


def _count_latents(field: str, num_frames: int, chunk_latents: int, max_frames: int) -> int:
    try:
        return check_num_frames(num_frames, chunk_latents, max_frames)
    except ValueError as error:
        raise ClipError(field, str(error)) from None
