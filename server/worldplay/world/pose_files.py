"""Reads whole trajectories: pose strings, pose files and recorded walks."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from worldplay.model.config import CHUNK_LATENTS
from worldplay.wording import is_text, show
from worldplay.world.camera import (
    MAX_POSES,
    NUM_LABELS,
    Pose,
    check_rigid,
    normalize_intrinsics,
    parse_pose_json,
    parse_pose_string,
)
from worldplay.world.matrices import read_matrix
from worldplay.world.recorded_cuts import RecordedCut, check_cuts
from worldplay.world.steering import Move, PosedCamera

MAX_PROMPT_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The cameras of a clip: that of its first latent, and a move to each later latent."""

    origin: PosedCamera
    moves: list[Move]
    cuts: list[RecordedCut] = field(default_factory=list)
    prompts: dict[int, str] = field(default_factory=dict)  # by the latent that they begin with; not the first

    def first(self, num_latents: int) -> "Trajectory":
        """Return the beginning of this trajectory."""
        cuts = [cut for cut in self.cuts if cut.latent < num_latents]
        prompts = {latent: text for latent, text in self.prompts.items() if latent < num_latents}
        return Trajectory(self.origin, self.moves[: num_latents - 1], cuts, prompts)

    @property
    def num_latents(self) -> int:
        return 1 + len(self.moves)


def parse_trajectory(document: object) -> Trajectory:
    """Read a pose string, a pose file, decoded or as text, or a recorded walk.

    A recorded walk is {"poses": [c2w, ...], "labels"?: [int, ...], "intrinsics"?: [K, ...]} with one entry
    per latent, or the list of poses alone; a pose is 16 numbers, row by row, or 4 rows of 4. A walk was at
    poses with labels, so these are used as they are; others are where to try to go. It may have
    "cuts"?: [{"latent": int, "poses": [c2w, ...], "labels": [int, ...], "intrinsics"?: [K, ...]}, ...], see
    docs/protocol.md, and "prompts"?: [{"latent": int, "text": str}, ...], which replace the first prompt from
    a chunk's latent on.
    Raises: ValueError saying what was expected and what was found.
    """
    if isinstance(document, str) and document.lstrip().startswith(("{", "[")):
        return parse_trajectory(decode_json(document))
    if isinstance(document, str):
        return Trajectory(_origin(), list(parse_pose_string(document)))
    if isinstance(document, Mapping) and "poses" not in document:
        c2w, intrinsics = parse_pose_json(document)
        return _place(c2w, [None] * len(c2w), list(intrinsics))
    if isinstance(document, Mapping):
        trajectory = _parse_walk(document)
        trajectory.cuts.extend(_parse_cuts(document, trajectory.num_latents))
        trajectory.prompts.update(_parse_prompts(document, trajectory.num_latents))
        return trajectory
    return _parse_walk({"poses": document})


def decode_json(text: str | bytes) -> object:
    """Decode any text. Raises: ValueError saying where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected JSON: {error}") from None


def _origin() -> PosedCamera:
    return PosedCamera(np.eye(4), label=0)


def _parse_walk(walk: Mapping[object, object]) -> Trajectory:
    c2w = _matrices(_list(walk, "poses", None), "poses", 4)
    check_rigid(c2w)
    count = len(c2w)
    labels: list[int | None] = [None] * count
    if walk.get("labels") is not None:
        labels = [_check_label(label) for label in _list(walk, "labels", count)]
    intrinsics: list[Pose | None] = [None] * count
    if walk.get("intrinsics") is not None:
        given = _matrices(_list(walk, "intrinsics", count), "intrinsics", 3)
        intrinsics = list(normalize_intrinsics(given))
    return _place(c2w, labels, intrinsics, is_reached=walk.get("labels") is not None)


def _parse_prompts(walk: Mapping[object, object], num_latents: int) -> dict[int, str]:
    prompts: dict[int, str] = {}
    for index, (latent, change) in enumerate(_read_changes(walk, "prompts")):
        least = max(prompts, default=0) + CHUNK_LATENTS
        if latent % CHUNK_LATENTS or not least <= latent < num_latents:
            raise ValueError(
                f"prompts[{index}].latent: expected the first latent of a chunk of {CHUNK_LATENTS}, from "
                f"{least} to the end of the walk, got {latent}"
            )
        text = change.get("text")
        if not is_text(text) or len(text) > MAX_PROMPT_CHARS:
            wanted = f"text of at most {MAX_PROMPT_CHARS} characters"
            raise ValueError(f"prompts[{index}].text: expected {wanted}, got {show(text)}")
        prompts[latent] = text
    return prompts


def _read_changes(walk: Mapping[object, object], field: str) -> Iterator[tuple[int, Mapping[object, object]]]:
    """Yield what a field lists by latents: each latent, and what the list has for it."""
    given = walk.get(field)
    if given is not None and (isinstance(given, str) or not isinstance(given, Sequence)):
        raise ValueError(f"expected {field} as an array, got {show(given)}")
    for index, change in enumerate(given or ()):
        if not isinstance(change, Mapping):
            raise ValueError(
                f"{field}[{index}]: expected an object with a latent's number, got {show(change)}"
            )
        latent = change.get("latent")
        if isinstance(latent, bool) or not isinstance(latent, int):
            raise ValueError(f"{field}[{index}].latent: expected a whole number, got {show(latent)}")
        yield latent, change


def _parse_cuts(walk: Mapping[object, object], num_latents: int) -> list[RecordedCut]:
    cuts = []
    for index, (latent, cut) in enumerate(_read_changes(walk, "cuts")):
        try:
            thrown = _parse_walk(cut)
        except ValueError as error:
            raise ValueError(f"cuts[{index}]: {error}") from None
        cuts.append(RecordedCut(latent, [thrown.origin, *_cameras(thrown)]))
    check_cuts(cuts, num_latents)
    return cuts


def _cameras(trajectory: Trajectory) -> list[PosedCamera]:
    return [move for move in trajectory.moves if isinstance(move, PosedCamera)]


def _place(
    c2w: Pose,
    labels: Sequence[int | None],
    intrinsics: Sequence[Pose | None],
    *,
    is_reached: bool = False,
) -> Trajectory:
    entries = zip(c2w, labels, intrinsics, strict=True)
    placed = [PosedCamera(*entry, is_reached=is_reached) for entry in entries]
    return Trajectory(placed[0], list(placed[1:]))


def _list(walk: Mapping[object, object], field: str, length: int | None) -> Sequence[object]:
    value = walk.get(field)
    if isinstance(value, str) or not isinstance(value, Sequence) or not 1 <= len(value) <= MAX_POSES:
        wanted = f"an array of 1 to {MAX_POSES}" if length is None else f"an array of {length}"
        raise ValueError(f"expected {field} as {wanted}, got {show(value)}")
    if length is not None and len(value) != length:
        raise ValueError(f"expected {length} {field}, one for each pose, got {len(value)}")
    return value


def _matrices(values: Sequence[object], field: str, size: int) -> Pose:
    return np.stack([_matrix(value, f"{field}[{index}]", size) for index, value in enumerate(values)])


def _matrix(value: object, name: str, size: int) -> Pose:
    matrix = read_matrix(value, [(size * size,), (size, size)])
    if matrix is None:
        raise ValueError(f"{name}: expected {size} x {size} numbers, got {show(value)}")
    return matrix.reshape(size, size)


def _check_label(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < NUM_LABELS:
        raise ValueError(f"expected labels of 0 to {NUM_LABELS - 1}, got {show(value)}")
    return value
