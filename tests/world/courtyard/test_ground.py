"""The walker's rule: bumps stop steps but not turns, pitch is bounded, labels follow the poses taken."""

import numpy as np
import pytest

from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion, label_actions
from worldplay.world.courtyard.ground import MARGIN, MAX_PITCH_RAD, Ground, WalkGround, heading
from worldplay.world.courtyard.scene import BALLS, HALF_SIZE, PILLARS, Ball, Pillar, stand_pose
from worldplay.world.courtyard.views import VIEWPOINTS

PURPLE_BALL, TRUNK = BALLS[4], PILLARS[1]


def test_a_free_step_goes_ahead_by_one_step() -> None:
    moved, bumped = Ground().move(stand_pose(0, -1, np.pi / 2, 0), Motion(forward=FORWARD_STEP))
    assert not bumped
    assert heading(moved) == pytest.approx((0.08, -1, np.pi / 2, 0))


def test_a_step_into_a_wall_is_refused_but_its_turn_is_taken() -> None:
    before = stand_pose(0, HALF_SIZE - MARGIN - 0.02, 0, 0)
    after, bumped = Ground().move(before, Motion(forward=FORWARD_STEP, yaw=TURN_STEP))
    assert bumped
    assert heading(after) == pytest.approx((0, HALF_SIZE - MARGIN - 0.02, TURN_STEP, 0))
    assert label_actions(after[None], before).tolist() == [1]


def test_a_pure_bump_is_labelled_no_move() -> None:
    before = stand_pose(0, HALF_SIZE - MARGIN - 0.02, 0, 0)
    after, _ = Ground().move(before, Motion(forward=FORWARD_STEP))
    assert label_actions(after[None], before).tolist() == [0]


@pytest.mark.parametrize("pitch_deg", [-30.0, 0.0, 30.0])
def test_all_keys_held_keep_their_label_at_any_pitch(pitch_deg: float) -> None:
    before = stand_pose(0, -1, 0.3, np.radians(pitch_deg))
    for motion, label in [
        (Motion(forward=FORWARD_STEP), 9),
        (Motion(forward=FORWARD_STEP, yaw=TURN_STEP), 10),
        (Motion(forward=FORWARD_STEP, right=-FORWARD_STEP), 54),
        (Motion(forward=-FORWARD_STEP, right=FORWARD_STEP, yaw=-TURN_STEP), 65),
        (Motion(yaw=TURN_STEP), 1),
    ]:
        after, bumped = Ground().move(before, motion)
        assert not bumped
        assert label_actions(after[None], before).tolist() == [label]


def test_a_step_along_a_wall_slides_on() -> None:
    before = stand_pose(-2.0, HALF_SIZE - MARGIN - 0.02, np.radians(80), 0)
    pose, bumps = before, 0
    for _ in range(10):
        pose, bumped = Ground().move(pose, Motion(forward=FORWARD_STEP))
        bumps += bumped
    assert bumps == 0
    assert heading(pose)[0] == pytest.approx(-2.0 + 10 * FORWARD_STEP * np.sin(np.radians(80)))
    steep = stand_pose(-2.0, HALF_SIZE - MARGIN - 0.02, np.radians(40), 0)
    after, bumped = Ground().move(steep, Motion(forward=FORWARD_STEP))
    assert bumped
    assert heading(after) == pytest.approx(heading(steep))


@pytest.mark.parametrize("solid", [PURPLE_BALL, TRUNK], ids=str)
@pytest.mark.parametrize("angle_deg", [5.0, 20.0, 40.0])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_step_past_something_round_slides_on_around_it(
    solid: Ball | Pillar, angle_deg: float, side: int
) -> None:
    """From any place beside it where no other thing is near; facing the same way, one leaves it behind."""
    x, z = (solid.x, solid.z) if isinstance(solid, Pillar) else (solid.centre[0], solid.centre[2])
    distance, tried = solid.radius + MARGIN + 0.01, 0
    for around in np.radians(np.arange(0, 360, 15)):
        at = x + distance * np.sin(around), z + distance * np.cos(around)
        yaw = around + side * np.radians(90 + angle_deg)  # along the tangent, and so much into it
        ring = around + side * np.linspace(0, np.pi / 2, 10)
        if not all(
            Ground().is_free(x + 1.3 * distance * np.sin(a), z + 1.3 * distance * np.cos(a)) for a in ring
        ):
            continue
        tried += 1
        pose, steps = stand_pose(*at, yaw, 0), 0
        while np.hypot(heading(pose)[0] - x, heading(pose)[1] - z) < 1.1 * distance:
            pose, bumped = Ground().move(pose, Motion(forward=FORWARD_STEP))
            steps += 1
            assert not bumped
            assert steps < 40
    assert tried > 3


def test_a_corner_of_two_walls_stops() -> None:
    corner = HALF_SIZE - MARGIN - 0.01
    before = stand_pose(corner, corner, np.radians(50), 0)
    after, bumped = Ground().move(before, Motion(forward=FORWARD_STEP))
    assert bumped
    assert heading(after) == pytest.approx(heading(before))


def test_a_long_step_does_not_jump_over_what_is_in_the_way() -> None:
    pedestal_ahead = stand_pose(-1.2, -0.9, np.pi, 0)
    after, bumped = Ground().move(pedestal_ahead, Motion(forward=2.0))
    assert bumped
    assert heading(after)[1] > -1.7
    assert Ground().is_free(*heading(after)[:2])


def test_poses_of_a_walk_are_taken_as_they_are_whatever_the_pitch() -> None:
    """What was recorded can be walked again."""
    walk_ground, pose = WalkGround(VIEWPOINTS[0].c2w), np.eye(4)
    recorded = [pose]
    for motion in [Motion(pitch=TURN_STEP)] * 8 + [Motion(-FORWARD_STEP, FORWARD_STEP, TURN_STEP)] * 8:
        recorded.append(walk_ground.move(recorded[-1], motion)[0])
    for wanted in recorded[1:]:
        pose, bumped = walk_ground.reach(pose, wanted)
        assert not bumped
        np.testing.assert_allclose(pose, wanted, atol=1e-9)


def test_pitch_stops_at_its_bound() -> None:
    pose = stand_pose(0, -1, 0, 0)
    for _ in range(20):
        pose, _ = Ground().move(pose, Motion(pitch=TURN_STEP))
    assert heading(pose)[3] == pytest.approx(MAX_PITCH_RAD)


def test_the_gate_can_be_walked_through_but_its_posts_cannot() -> None:
    ground = Ground()
    assert ground.is_free(0.0, 0.0)
    assert not ground.is_free(1.05, 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_random_walks_never_leave_free_ground(seed: int) -> None:
    rng, ground, pose = np.random.default_rng(seed), Ground(), stand_pose(0, -0.9, 0, 0)
    for _ in range(200):
        forward, right, yaw, pitch = rng.uniform(-1, 1, 4)
        pose, _ = ground.move(pose, Motion(forward * 0.3, right * 0.3, yaw, pitch))
        x, z, *_ = heading(pose)
        assert ground.is_free(x, z)
        assert pose[1, 3] == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_a_walk_in_its_own_frame_takes_the_same_path_as_in_the_court(seed: int) -> None:
    rng, start = np.random.default_rng(seed), VIEWPOINTS[2].c2w
    in_court, in_walk, walk_ground = start, np.eye(4), WalkGround(start)
    for _ in range(40):
        forward, right = rng.choice([-FORWARD_STEP, 0.0, FORWARD_STEP], 2)
        motion = Motion(forward, right, *rng.choice([-TURN_STEP, 0.0, TURN_STEP], 2))
        in_court, bumped = Ground().move(in_court, motion)
        in_walk, walk_bumped = walk_ground.move(in_walk, motion)
        assert bumped == walk_bumped
    np.testing.assert_allclose(start @ in_walk, in_court, atol=1e-9)
