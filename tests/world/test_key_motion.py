import math
from collections.abc import Sequence

import pytest

from goldens.world_cases import build_trajectory
from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion, label_actions
from worldplay.world.key_motion import Edge, motion_of, tapped_keys

NONE: frozenset[str] = frozenset()
W = frozenset({"w"})
STILL, AHEAD = Motion(), Motion(forward=FORWARD_STEP)


def edge(t_ms: float, *keys: str) -> Edge:
    return Edge(t_ms, frozenset(keys))


def latent_motions(
    held_before: frozenset[str],
    edges: Sequence[Edge],
    start_ms: float,
    end_ms: float,
    num_latents: int,
    look: tuple[float, float] = (0.0, 0.0),
) -> list[Motion]:
    """The motions of a chunk: keys held in the end move every latent, and a look is spread evenly."""
    held = sorted(edges, key=lambda edge: edge.t_ms)[-1].keys if edges else held_before
    taps = tapped_keys(held_before, edges, start_ms, end_ms, num_latents)
    return [motion_of(held | keys, look[0] / num_latents, look[1] / num_latents) for keys in taps]


def motions(
    held_before: frozenset[str], *edges: Edge, look: tuple[float, float] = (0.0, 0.0)
) -> list[Motion]:
    """A window of 400 ms from 1000 ms: 100 ms a latent."""
    return latent_motions(held_before, edges, 1000, 1400, 4, look)


@pytest.mark.parametrize(
    ("key", "motion"),
    [
        ("w", Motion(forward=FORWARD_STEP)),
        ("s", Motion(forward=-FORWARD_STEP)),
        ("a", Motion(right=-FORWARD_STEP)),
        ("d", Motion(right=FORWARD_STEP)),
        ("up", Motion(pitch=TURN_STEP)),
        ("down", Motion(pitch=-TURN_STEP)),
        ("left", Motion(yaw=-TURN_STEP)),
        ("right", Motion(yaw=TURN_STEP)),
    ],
)
def test_each_key_has_its_motion(key: str, motion: Motion) -> None:
    assert motion_of({key}) == motion


def test_opposite_keys_cancel() -> None:
    assert motion_of(frozenset(("w", "s", "a", "d", "up", "down", "left", "right"))) == STILL


def test_opposites_cancel_without_touching_the_others() -> None:
    assert motion_of({"w", "s", "d", "left"}) == Motion(right=FORWARD_STEP, yaw=-TURN_STEP)


def test_diagonal_keeps_both_components_and_its_label() -> None:
    motion = motion_of({"w", "a"})
    assert motion == Motion(forward=FORWARD_STEP, right=-FORWARD_STEP)
    assert label_actions(build_trajectory([motion]), None)[1] == 54


def test_look_adds_to_the_keys() -> None:
    assert motion_of({"right"}, 0.1, -0.2) == Motion(yaw=TURN_STEP + 0.1, pitch=-0.2)


def test_nothing_pressed_stands_still() -> None:
    assert motions(NONE) == [STILL] * 4


def test_held_key_without_edges_moves_every_latent() -> None:
    assert motions(W) == [AHEAD] * 4


def test_key_pressed_late_and_held_moves_every_latent() -> None:
    assert motions(NONE, edge(1399, "w")) == [AHEAD] * 4


def test_key_held_before_and_released_stops_at_once() -> None:
    assert motions(W, edge(1390)) == [STILL] * 4


@pytest.mark.parametrize(
    ("pressed", "released", "moved"),
    [
        (1010, 1020, [0]),
        (1110, 1120, [1]),
        (1395, 1399, [3]),
        (1090, 1110, [0, 1]),
        (1100, 1200, [1]),  # exactly one share: its neighbours are only touched
        (1000, 1399, [0, 1, 2, 3]),
        (1250, 1250, [2]),  # no time between: still moves one latent
    ],
)
def test_tap_moves_the_latents_it_overlaps(pressed: int, released: int, moved: list[int]) -> None:
    taps = motions(NONE, edge(pressed, "w"), edge(released))
    assert taps == [AHEAD if latent in moved else STILL for latent in range(4)]


def test_two_taps_of_one_key_move_their_own_latents() -> None:
    taps = motions(NONE, edge(1010, "w"), edge(1020), edge(1310, "w"), edge(1320))
    assert taps == [AHEAD, STILL, STILL, AHEAD]


def test_key_held_before_released_and_tapped_again_is_a_tap() -> None:
    assert motions(W, edge(1050), edge(1210, "w"), edge(1220)) == [STILL, STILL, AHEAD, STILL]


def test_key_released_and_pressed_again_moves_every_latent() -> None:
    assert motions(W, edge(1100), edge(1300, "w")) == [AHEAD] * 4


def test_tap_of_another_key_adds_to_the_held_one() -> None:
    both = Motion(forward=FORWARD_STEP, yaw=TURN_STEP)
    assert motions(W, edge(1110, "w", "right"), edge(1150, "w")) == [AHEAD, both, AHEAD, AHEAD]


def test_tap_of_the_opposite_key_cancels_only_its_latents() -> None:
    assert motions(W, edge(1110, "w", "s"), edge(1150, "w")) == [AHEAD, STILL, AHEAD, AHEAD]


def test_change_of_direction_takes_the_new_one() -> None:
    assert motions(W, edge(1200, "s")) == [Motion(forward=-FORWARD_STEP)] * 4


def test_edges_out_of_order_are_taken_by_their_time() -> None:
    assert motions(NONE, edge(1120), edge(1110, "w")) == [STILL, AHEAD, STILL, STILL]


def test_edges_at_the_same_time_keep_their_order() -> None:
    assert motions(NONE, edge(1110), edge(1110, "w")) == [AHEAD] * 4


def test_tap_before_the_window_moves_its_first_latent() -> None:
    assert motions(NONE, edge(900, "w"), edge(950)) == [AHEAD, STILL, STILL, STILL]


def test_press_before_the_window_and_release_inside_is_a_tap_from_its_start() -> None:
    assert motions(NONE, edge(900, "w"), edge(1150)) == [AHEAD, AHEAD, STILL, STILL]


def test_edge_after_the_window_is_the_latest_state() -> None:
    assert motions(NONE, edge(1500, "w")) == [AHEAD] * 4


def test_tap_after_the_window_moves_its_last_latent() -> None:
    assert motions(NONE, edge(1500, "w"), edge(1510)) == [STILL, STILL, STILL, AHEAD]


def test_look_is_spread_evenly_on_the_latents() -> None:
    assert motions(W, look=(0.2, -0.4)) == [Motion(forward=FORWARD_STEP, yaw=0.05, pitch=-0.1)] * 4


def test_look_adds_up_to_what_was_looked() -> None:
    turned = latent_motions(NONE, [], 0, 500, 3, look=(0.1, 0.3))
    assert math.fsum(motion.yaw for motion in turned) == pytest.approx(0.1)
    assert math.fsum(motion.pitch for motion in turned) == pytest.approx(0.3)


def test_tap_in_an_empty_window_moves_the_first_latent() -> None:
    taps = latent_motions(NONE, [edge(1000, "w"), edge(1000)], 1000, 1000, 4)
    assert taps == [AHEAD, STILL, STILL, STILL]


def test_no_latents_take_no_motion() -> None:
    assert latent_motions(W, [edge(1, "s"), edge(2)], 0, 9, 0) == []


def test_the_edges_given_are_left_as_they_are() -> None:
    edges = [edge(1120), edge(1110, "w")]
    latent_motions(NONE, edges, 1000, 1400, 4)
    assert [e.t_ms for e in edges] == [1120, 1110]
