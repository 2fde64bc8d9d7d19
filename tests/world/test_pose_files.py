import json
import math

import numpy as np
import pytest

from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion
from worldplay.world.pose_files import parse_trajectory
from worldplay.world.steering import PosedCamera, TrajectorySteering


def shifted(x: float) -> list[list[float]]:
    pose = np.eye(4)
    pose[0, 3] = x
    return pose.tolist()


K = [[970.0, 0.0, 960.0], [0.0, 970.0, 540.0], [0.0, 0.0, 1.0]]


def test_pose_string_gives_one_more_latent_than_motions() -> None:
    trajectory = parse_trajectory("w-2, right-1")
    assert trajectory.num_latents == 4
    assert trajectory.moves == [Motion(forward=FORWARD_STEP)] * 2 + [Motion(yaw=TURN_STEP)]
    assert (trajectory.origin.c2w == np.eye(4)).all()


def test_pose_file_places_every_latent() -> None:
    trajectory = parse_trajectory({str(i): {"extrinsic": shifted(i / 10), "K": K} for i in range(3)})
    assert trajectory.num_latents == 3
    last = trajectory.moves[-1]
    assert isinstance(last, PosedCamera)
    assert last.c2w[0, 3] == 0.2
    assert last.intrinsics is not None
    assert last.intrinsics[1, 1] == pytest.approx(970 / 1080)


def test_pose_file_may_be_text() -> None:
    """The published service's field is a string."""
    document = {str(index): {"extrinsic": np.eye(4).tolist(), "K": K} for index in range(2)}
    for pose in (document, [np.eye(4).tolist()] * 2):
        read, expected = parse_trajectory(f"\n {json.dumps(pose)}"), parse_trajectory(pose)
        assert read.num_latents == 2
        assert [type(move) for move in read.moves] == [type(move) for move in expected.moves]
    for text in ("{", "[" * 100_000, "[1, 2", '{"0": }'):
        with pytest.raises(ValueError, match=r"^expected JSON: "):
            parse_trajectory(text)


def test_recorded_walk_keeps_its_labels() -> None:
    flat = np.ravel(shifted(0.1)).tolist()
    trajectory = parse_trajectory({"seed": 3, "poses": [shifted(0), flat], "labels": [0, 27]})
    step = trajectory.moves[0]
    assert isinstance(step, PosedCamera)
    assert (trajectory.origin.label, step.label, step.intrinsics) == (0, 27, None)


def test_list_of_poses_is_a_walk() -> None:
    trajectory = parse_trajectory([shifted(0), shifted(0.1)])
    assert [type(step) for step in trajectory.moves] == [PosedCamera]


def test_normalised_intrinsics_stay_as_they_are() -> None:
    normal = [[0.5, 0, 0.5], [0, 0.9, 0.5], [0, 0, 1]]
    trajectory = parse_trajectory({"poses": [shifted(0)], "intrinsics": [normal]})
    assert trajectory.origin.intrinsics is not None
    assert trajectory.origin.intrinsics.tolist() == normal


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("fly-3", "expected an action of w, s"),
        (3, "expected poses as an array of 1 to 21600, got 3"),
        ([], "expected poses as an array of 1 to 21600, got an array of length 0"),
        ({"poses": [[1, 2, 3]]}, r"poses\[0\]: expected 4 x 4 numbers, got an array of length 3"),
        ({"poses": [["x"] * 16]}, r"poses\[0\]: expected 4 x 4 numbers"),
        ({"poses": [["1"] * 16]}, r"poses\[0\]: expected 4 x 4 numbers, got an array of length 16"),
        ({"poses": [[True] + [0.0] * 15]}, r"poses\[0\]: expected 4 x 4 numbers"),
        ({"poses": [[None] * 16]}, r"poses\[0\]: expected 4 x 4 numbers"),
        ({"poses": [[[1, 0, 0, 0], [0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]]}, r"poses\[0\]: expected 4 x 4"),
        ({"0": {"extrinsic": shifted(0), "K": [["1", 0, 1]] * 3}}, "pose '0': expected 'K' as 3 x 3 numbers"),
        ({"poses": [[math.nan] * 16]}, "expected finite poses"),
        ({"poses": [shifted(0)], "labels": [0, 1]}, "expected 1 labels, one for each pose, got 2"),
        ({"poses": [shifted(0)], "labels": [81]}, "expected labels of 0 to 80, got 81"),
        ({"poses": [shifted(0)], "labels": [True]}, "expected labels of 0 to 80, got true"),
        (
            {"poses": [shifted(0)], "labels": "0"},
            "labels as an array of 1, got '0'",
        ),
        ({"poses": [shifted(0)], "intrinsics": [[1]]}, r"intrinsics\[0\]: expected 3 x 3 numbers"),
        ({"0": {"extrinsic": shifted(0)}}, "pose '0': expected 'K'"),
        ([[10**400] * 16], r"poses\[0\]: expected 4 x 4 numbers, got an array of length 16"),
        ({"poses": [shifted(0)], "intrinsics": [[10**400] * 9]}, r"intrinsics\[0\]: expected 3 x 3 numbers"),
        ({"poses": [shifted(0)], "labels": [10**400]}, "expected labels of 0 to 80, got a number"),
        ({}, "expected an object of 1 to 21600 poses"),
        (None, "got null"),
    ],
)
def test_bad_trajectories_say_what_is_wrong(document: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_trajectory(document)


def test_trajectory_steering_gives_each_move_once() -> None:
    moves = parse_trajectory("w-1,a-1,s-1,d-1,up-1,down-1,left-1").moves
    steering = TrajectorySteering(moves)
    first = steering.latch(3)
    assert steering.predict(4) == steering.predict(4)
    assert [*first, *steering.latch(4)] == moves
