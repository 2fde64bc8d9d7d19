"""Training walks: one pose a latent, four frames towards each, and labels of what was really walked."""

import numpy as np
import pytest

from training.data import DRILL_SEED, frame_poses, plan_walk
from worldplay.world.camera import invert_pose, label_actions
from worldplay.world.courtyard.ground import Ground, heading
from worldplay.world.courtyard.scene import stand_pose
from worldplay.world.courtyard.views import VIEWPOINTS


def test_every_latent_ends_with_a_frame_exactly_at_its_pose() -> None:
    c2w = plan_walk(4, 12, from_view=True).c2w
    frames = frame_poses(c2w)
    assert len(frames) == 1 + 4 * 11
    np.testing.assert_allclose(frames[::4], c2w, atol=1e-12)


def test_frames_between_poses_are_quarters_of_the_motion() -> None:
    start, end = stand_pose(0, 0, np.radians(178), 0), stand_pose(0.08, 0.04, np.radians(-178), 0.04)
    stands = [heading(pose) for pose in frame_poses(np.stack([start, end]))]
    np.testing.assert_allclose([stand[0] for stand in stands], [0, 0.02, 0.04, 0.06, 0.08], atol=1e-12)
    yaws = np.degrees([stand[2] for stand in stands]) % 360
    np.testing.assert_allclose(yaws, [178, 179, 180, 181, 182], atol=1e-9)


def test_walks_are_fixed_by_their_seed_and_stay_on_free_ground() -> None:
    plan = plan_walk(7, 64, from_view=False)
    assert plan.view is None
    assert np.array_equal(plan.c2w, plan_walk(7, 64, from_view=False).c2w)
    assert all(Ground().is_free(pose[0, 3], pose[2, 3]) for pose in plan.c2w)


def test_labels_do_not_depend_on_the_frame_a_walk_is_seen_from() -> None:
    plan = plan_walk(8, 64, from_view=True)
    assert plan.view == 2
    seen = invert_pose(VIEWPOINTS[2].c2w) @ plan.c2w
    np.testing.assert_allclose(seen[0], np.eye(4), atol=1e-12)
    assert np.array_equal(label_actions(seen, None), plan.labels())
    assert len(set(plan.labels().tolist())) > 2


@pytest.mark.slow
def test_drills_meet_every_combination_of_keys() -> None:
    plans = [plan_walk(DRILL_SEED + i, 64, from_view=False) for i in range(90)]
    assert {label for plan in plans for label in plan.labels().tolist()} == set(range(81))
