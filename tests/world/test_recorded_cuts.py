"""Cuts of recorded walks, as read from a file and as replayed."""

import numpy as np
import pytest

from worldplay.world.camera import FORWARD_STEP, Motion, apply_motion
from worldplay.world.pose_files import parse_trajectory
from worldplay.world.recorded_cuts import list_latches
from worldplay.world.steering import PosedCamera


def poses(count: int, step: float = FORWARD_STEP) -> list[list[float]]:
    pose, made = np.eye(4), []
    for _ in range(count):
        made.append(pose.reshape(16).tolist())
        pose = apply_motion(pose, Motion(forward=step))
    return made


def cut(latent: int, count: int, label: int = 9) -> dict[str, object]:
    return {"latent": latent, "poses": poses(count, 0.05), "labels": [label] * count}


def labels_of(latches: object) -> list[list[int | None]]:
    return [[move.label for move in latch if isinstance(move, PosedCamera)] for latch in latches]  # type: ignore[attr-defined]


def test_every_version_of_a_cut_chunk_is_generated_again() -> None:
    walk = {"poses": poses(12), "labels": list(range(12)), "cuts": [cut(5, 3, 50), cut(6, 2, 60)]}
    trajectory = parse_trajectory(walk)
    latches = list_latches(trajectory.moves, trajectory.cuts)
    assert labels_of(latches) == [[1, 2, 3], [4, 50, 50, 50], [5, 60, 60], [6, 7], [8, 9, 10, 11]]


def test_first_chunk_has_a_move_less() -> None:
    trajectory = parse_trajectory({"poses": poses(4), "labels": [0, 1, 2, 3], "cuts": [cut(2, 2, 50)]})
    assert labels_of(list_latches(trajectory.moves, trajectory.cuts)) == [[1, 50, 50], [2, 3]]


def test_beginning_of_a_walk_has_its_own_cuts_only() -> None:
    trajectory = parse_trajectory({"poses": poses(12), "cuts": [cut(2, 2), cut(9, 3)]})
    assert [cut.latent for cut in trajectory.first(8).cuts] == [2]


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        (3, "expected cuts as an array, got 3"),
        ([7], r"cuts\[0\]: expected an object with a latent's number, got 7"),
        (
            [cut(4, 4)],
            r"cuts\[0\].latent: expected a latent of the walk that does not begin a chunk of 4, got 4",
        ),
        (
            [cut(9, 3)],
            r"cuts\[0\].latent: expected a latent of the walk that does not begin a chunk of 4, got 9",
        ),
        ([cut(6, 3)], r"cuts\[0\].poses: expected 2, to the end of the chunk, got 3"),
        ([cut(6, 2), cut(5, 3)], r"cuts\[1\].latent: expected at least 6, got 5"),
        ([cut(7, 1)] * 17, r"cuts\[16\]: expected at most 16 cuts of one chunk, got more"),
        ([{"latent": 2.0}], r"cuts\[0\].latent: expected a whole number, got 2.0"),
        ([{"latent": True}], r"cuts\[0\].latent: expected a whole number, got"),
        ([{"latent": 6, "poses": [1]}], r"cuts\[0\]: poses\[0\]: expected 4 x 4 numbers, got 1"),
    ],
)
def test_wrong_cuts_are_refused(cuts: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_trajectory({"poses": poses(8), "cuts": cuts})
