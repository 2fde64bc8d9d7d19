"""The inverted poses of a walk."""

import numpy as np
import pytest

from worldplay.world import pose_history
from worldplay.world.camera import Pose, invert_pose
from worldplay.world.pose_history import InverseHistory


def make_poses(count: int, seed: int = 0) -> Pose:
    random = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    turns, _ = np.linalg.qr(random.normal(size=(count, 3, 3)))
    poses[:, :3, :3], poses[:, :3, 3] = turns, random.normal(size=(count, 3))
    return poses


@pytest.mark.parametrize("length", [0, 1, 255, 256, 1000])
def test_inverses_are_those_of_all_poses(length: int) -> None:
    history, poses = InverseHistory(), make_poses(length)
    for end in sorted({0, length // 3, length // 2, length}):
        path = make_poses(4, seed=end + 1)
        expected = invert_pose(np.concatenate([poses[:end], path]))
        np.testing.assert_array_equal(history.extend(poses[:end], path), expected)


def test_another_path_after_a_rewind() -> None:
    history, before, after = InverseHistory(), make_poses(20), make_poses(20, seed=1)
    history.extend(before, make_poses(4))
    history.truncate(8)
    walked = np.concatenate([before[:8], after[8:]])
    np.testing.assert_array_equal(history.extend(walked, before[:4])[:20], invert_pose(walked))


def test_a_shorter_past_forgets_what_the_path_overwrote() -> None:
    history, poses = InverseHistory(), make_poses(20)
    history.extend(poses, poses[:4])
    history.extend(poses[:10], make_poses(4, seed=1))
    np.testing.assert_array_equal(history.extend(poses, poses[:4])[:20], invert_pose(poses))


def test_each_pose_is_inverted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def count(poses: Pose) -> Pose:
        counts.append(len(poses))
        return invert_pose(poses)

    monkeypatch.setattr(pose_history, "invert_pose", count)
    history, poses = InverseHistory(), make_poses(100)
    for end in range(4, 101, 4):
        history.extend(poses[:end], poses[:4])
    assert sum(counts) == 100 + 25 * 4
