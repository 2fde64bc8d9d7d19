"""Cameras: turns motions into poses and poses into action labels, and reads pose strings and files.

Axes of a camera: x right, y down, z forward. Poses are float64 camera-to-world matrices (c2w).
The first camera of a walk is the world's origin and is never moved: the model's text keys see absolute poses.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldplay.wording import show
from worldplay.world.matrices import check_each, read_matrix

Pose = NDArray[np.float64]  # [..., 4, 4] c2w or w2c; [..., 3, 3] intrinsics

FORWARD_STEP = 0.08
TURN_STEP = math.radians(3)
# The published default, 969.697 pixels of focal length at 1920 x 1080, in units of the image's sides.
DEFAULT_INTRINSICS: Pose = np.array(
    [[50 / 99, 0.0, 0.5], [0.0, 969.6969696969696 / 1080, 0.5], [0.0, 0.0, 1.0]]
)
DEFAULT_INTRINSICS.setflags(write=False)
MAX_POSES = 21_600  # an hour; a pose file or string asking for more is refused before it is expanded
NUM_LABELS = 81  # of `label_actions`
MAX_DISTANCE = 10_000.0  # units from the origin; an hour straight ahead is 1728
MAX_FOCAL = 20.0  # a field of view of 3 degrees; 1 / MAX_FOCAL is one of 168

_MIN_TRANSLATION = 1e-4  # units per latent that count as a move
_MIN_TURN = 0.05  # degrees per latent that count as a turn
_RIGID_TOLERANCE = 1e-3  # room for poses written with float32 or six digits
# Translations: rows are no, forward, backward; columns no, right, left.
# Rotations: rows are no, right, left yaw; columns no, up, down pitch.
_CODES = np.array([[0, 3, 4], [1, 5, 6], [2, 7, 8]])


@dataclass(frozen=True, slots=True)
class Motion:
    """What the camera does during one latent, in its own axes: units and radians.

    Parts apply in this order: yaw (positive right), pitch (positive up), forward, right, third_yaw (orbit
    about the point one unit ahead).
    """

    forward: float = 0.0
    right: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    third_yaw: float = 0.0


# And what word processors, phones and other keyboards put in its place.
_HYPHEN, _COMMA = re.compile("[-\u2010-\u2014\u2212\ufe63\uff0d]"), re.compile("[,\uff0c\u3001\u060c]")
_FILE_NAME = re.compile(r"[/\\]|\.json$", re.IGNORECASE)
_STRING_MOTIONS = {
    "w": Motion(forward=FORWARD_STEP),
    "s": Motion(forward=-FORWARD_STEP),
    "a": Motion(right=-FORWARD_STEP),
    "d": Motion(right=FORWARD_STEP),
    "up": Motion(pitch=TURN_STEP),
    "down": Motion(pitch=-TURN_STEP),
    "left": Motion(yaw=-TURN_STEP),
    "right": Motion(yaw=TURN_STEP),
}


def _rotation_y(angle: float) -> Pose:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _rotation_x(angle: float) -> Pose:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def apply_motion(c2w: Pose, motion: Motion) -> Pose:
    """Move a camera, c2w [4, 4], by one latent's motion. Returns: a new c2w [4, 4]."""
    moved = c2w.copy()
    moved[:3, :3] = c2w[:3, :3] @ _rotation_y(motion.yaw) @ _rotation_x(motion.pitch)
    moved[:3, 3] += moved[:3, :3] @ np.array([motion.right, 0.0, motion.forward])
    if motion.third_yaw:
        moved = moved @ _orbit(motion.third_yaw)
    return moved


def motion_between(c2w: Pose, moved: Pose) -> Motion:
    """Find the motion from one camera, c2w [4, 4], to another; roll and height are ignored."""
    relative = c2w[:3, :3].T @ moved[:3, :3]
    right, _, forward = moved[:3, :3].T @ (moved[:3, 3] - c2w[:3, 3])
    ahead = relative[:, 2]
    yaw = math.atan2(ahead[0], ahead[2])
    pitch = math.atan2(-ahead[1], math.hypot(ahead[0], ahead[2]))
    return Motion(forward=float(forward), right=float(right), yaw=yaw, pitch=pitch)


def _orbit(third_yaw: float) -> Pose:
    step = np.eye(4)
    step[:3, :3] = _rotation_y(-third_yaw)
    step[:3, 3] = step[:3, :3] @ np.array([0.0, 0.0, -1.0]) + np.array([0.0, 0.0, 1.0])
    return step


def invert_pose(pose: Pose) -> Pose:
    """Invert rigid poses [..., 4, 4]: c2w to w2c and back."""
    inverse = np.zeros_like(pose)
    transposed = np.swapaxes(pose[..., :3, :3], -1, -2)
    inverse[..., :3, :3] = transposed
    inverse[..., :3, 3:] = -transposed @ pose[..., :3, 3:]
    inverse[..., 3, 3] = 1.0
    return inverse


def label_actions(c2w: Pose, previous: Pose | None) -> NDArray[np.int64]:
    """Label the motion that led to each latent: 9 * translation code + rotation code, 0..80.

    Args:
        c2w: [T, 4, 4] consecutive poses.
        previous: [4, 4] pose of the latent before; None if c2w[0] is a walk's first latent, whose label is 0.
    Returns: [T] labels.
    """
    before = c2w[0] if previous is None else previous
    steps = invert_pose(np.concatenate([before[None], c2w[:-1]])) @ c2w
    right, up = _turn_degrees(steps[:, :3, :3])
    translation = _translation_codes(steps[:, :3, 3])
    rotation = _CODES[_sign_codes(right, _MIN_TURN), _sign_codes(up, _MIN_TURN)]
    return (9 * translation + rotation).astype(np.int64)


def _sign_codes(value: NDArray[np.float64], threshold: float) -> NDArray[np.intp]:
    """Return 1 above the threshold, 2 below minus the threshold, otherwise 0."""
    return np.where(value > threshold, 1, np.where(value < -threshold, 2, 0))


def _translation_codes(moves: NDArray[np.float64]) -> NDArray[np.intp]:
    """Encode moves [T, 3]: an axis counts if the move is within 60 degrees of one of its directions."""
    length = np.linalg.norm(moves, axis=1)
    unit = moves / np.maximum(length, _MIN_TRANSLATION)[:, None]
    codes = _CODES[_sign_codes(unit[:, 2], 0.5), _sign_codes(unit[:, 0], 0.5)]
    return np.where(length > _MIN_TRANSLATION, codes, 0)


def _turn_degrees(rotation: Pose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the y and x angles, in degrees, of rotations [T, 3, 3] as extrinsic x-y-z Euler angles."""
    cos_y = np.hypot(rotation[:, 0, 0], rotation[:, 1, 0])
    y = np.arctan2(-rotation[:, 2, 0], cos_y)
    locked = cos_y < 1e-7  # a turn of 90 degrees: x and z are one freedom, given to x
    sin_x = np.where(locked, -rotation[:, 1, 2], rotation[:, 2, 1])
    x = np.arctan2(sin_x, np.where(locked, rotation[:, 1, 1], rotation[:, 2, 2]))
    return np.degrees(y), np.degrees(x)


def check_rigid(c2w: Pose) -> None:
    """Check that poses [..., 4, 4] are a rotation and a translation.

    Raises: ValueError showing the first that is not.
    """
    if c2w.shape[-2:] != (4, 4):
        raise ValueError(f"expected poses of shape [..., 4, 4], got {list(c2w.shape)}")
    check_each(np.isfinite(c2w).all(axis=(-2, -1)), c2w, "finite poses")
    bottom = np.abs(c2w[..., 3, :] - [0.0, 0.0, 0.0, 1.0]).max(axis=-1)
    check_each(bottom <= _RIGID_TOLERANCE, c2w, "poses with bottom row 0 0 0 1")
    distance = np.abs(c2w[..., :3, 3]).max(axis=-1)
    check_each(distance <= MAX_DISTANCE, c2w, f"positions within {MAX_DISTANCE:g} units of the origin")
    _check_rotation(c2w[..., :3, :3])


def _check_rotation(rotation: Pose) -> None:
    largest = np.abs(rotation).max(axis=(-2, -1))
    check_each(largest <= 2, rotation, "rotations")  # also keeps the product below from overflowing
    error = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max(axis=(-2, -1))
    check_each(error <= _RIGID_TOLERANCE, rotation, "rotations with orthonormal rows")
    check_each(np.linalg.det(rotation) > 0, rotation, "rotations, not reflections (determinant -1)")


def normalize_intrinsics(intrinsics: Pose) -> Pose:
    """Convert intrinsics [..., 3, 3] from pixels to units of the image's sides, with centred principal point.

    Raises: ValueError showing the first that no camera can have.
    """
    focal = np.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], axis=-1)
    centre = intrinsics[..., :2, 2]
    good = np.isfinite(intrinsics).all(axis=(-2, -1)) & (focal > 0).all(axis=-1) & (centre > 0).all(axis=-1)
    check_each(good, intrinsics, "intrinsics with positive fx, fy, cx, cy")
    with np.errstate(over="ignore"):  # infinity is refused below
        focal = focal / (2 * centre)
    good = ((focal >= 1 / MAX_FOCAL) & (focal <= MAX_FOCAL)).all(axis=-1)
    check_each(good, intrinsics, f"focal lengths within {MAX_FOCAL:g} times the image's sides")
    normalized = np.zeros_like(intrinsics)
    normalized[..., 0, 0], normalized[..., 1, 1] = np.moveaxis(focal, -1, 0)
    normalized[..., :2, 2] = 0.5
    normalized[..., 2, 2] = 1.0
    return normalized


def parse_pose_string(text: str) -> list[Motion]:
    """Read a pose string such as "w-3, right-1, d-4": items of action-latents, separated by commas.

    Spaces are ignored. Durations are truncated to whole latents, so "right-0.5" gives none. Empty items are
    skipped.
    Raises: ValueError naming the item, what was expected and what was found.
    """
    motions: list[Motion] = []
    for item in filter(None, map(str.strip, _COMMA.split(text))):
        motions.extend(_parse_item(item, MAX_POSES - 1 - len(motions)))
    return motions


def _parse_item(item: str, room: int) -> list[Motion]:
    action, _, duration = map(str.strip, _HYPHEN.sub("-", item, count=1).partition("-"))
    where = f"pose string item {show(item)}"
    if _FILE_NAME.search(item):
        raise ValueError(
            f"{where}: expected motions like 'w-3', or the content of a pose file, got a file's name"
        )
    if action not in _STRING_MOTIONS:
        raise ValueError(f"{where}: expected an action of {', '.join(_STRING_MOTIONS)}, got {show(action)}")
    try:
        latents = float(duration)
    except ValueError:
        raise ValueError(f"{where}: expected a number of latents after '-', got {show(duration)}") from None
    if not 0 <= latents <= room:
        raise ValueError(f"{where}: expected 0 to {room} latents, got {show(duration)}")
    return [_STRING_MOTIONS[action]] * int(latents)


def parse_pose_json(document: object) -> tuple[Pose, Pose]:
    """Read a decoded pose file: {"0": {"extrinsic": c2w, "K": 3 x 3 pixels}, ...}, in file order.

    Returns: c2w [T, 4, 4] and normalised intrinsics [T, 3, 3].
    Raises: ValueError naming the entry, what was expected and what was found.
    """
    if not isinstance(document, Mapping) or not 1 <= len(document) <= MAX_POSES:
        raise ValueError(f"expected an object of 1 to {MAX_POSES} poses, got {show(document)}")
    c2w = np.stack([_matrix(document[key], str(key), "extrinsic", 4) for key in document])
    intrinsics = np.stack([_matrix(document[key], str(key), "K", 3) for key in document])
    check_rigid(c2w)
    return c2w, normalize_intrinsics(intrinsics)


def _matrix(entry: object, name: str, field: str, size: int) -> Pose:
    value = entry.get(field) if isinstance(entry, Mapping) else None
    matrix = read_matrix(value, [(size, size)])
    if matrix is None:
        raise ValueError(
            f"pose {show(name)}: expected {field!r} as {size} x {size} numbers, got {show(value)}"
        )
    return matrix
