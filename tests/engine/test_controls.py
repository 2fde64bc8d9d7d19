import math
from threading import Thread

import pytest

from support.fake_chunks import only_motions
from support.fakes import FakeClock
from worldplay.engine.controls import MAX_EDGES, ChunkSteering, ControlState, ReceivedEdge, place_edges
from worldplay.world.camera import FORWARD_STEP, Motion
from worldplay.world.key_motion import motion_of

NONE: frozenset[str] = frozenset()
W, A = frozenset({"w"}), frozenset({"a"})
STILL, AHEAD, LEFT = Motion(), Motion(forward=FORWARD_STEP), Motion(right=-FORWARD_STEP)


def press(
    controls: ControlState, now_ms: float, *keys: str, seq: int = 1, look: tuple[float, float] = (0.0, 0.0)
) -> None:
    controls.press(seq, now_ms, frozenset(keys), look, now_ms)


def take(controls: ControlState, now_ms: float, num_latents: int = 4) -> list[Motion]:
    return only_motions(controls.take(num_latents, now_ms)[0])


def test_held_key_moves_every_latent_of_every_chunk() -> None:
    controls = ControlState(0.0)
    press(controls, 390, "w")
    assert take(controls, 400) == [AHEAD] * 4
    assert take(controls, 800) == [AHEAD] * 4


def test_tap_shorter_than_a_chunk_moves_one_latent() -> None:
    controls = ControlState(0.0)
    press(controls, 210, "w")
    press(controls, 220)
    assert take(controls, 400) == [STILL, STILL, AHEAD, STILL]
    assert take(controls, 800) == [STILL] * 4


def test_tap_that_arrives_as_one_burst_keeps_its_length() -> None:
    controls = ControlState(0.0)
    controls.press(1, 5000.0, W, (0.0, 0.0), 390.0)
    controls.press(2, 5150.0, NONE, (0.0, 0.0), 391.0)
    assert take(controls, 400) == [STILL, STILL, AHEAD, AHEAD]


@pytest.mark.parametrize(
    ("received", "placed_ms"),
    [
        ([(100, 0), (200, 100)], [100, 200]),  # nothing was delayed
        ([(100, 0), (120, 100)], [20, 120]),  # the first was: it cannot have been later than 20
        ([(100, 0), (100, 10), (100, 30)], [70, 80, 100]),
        ([(100, 0), (110, 9_000_000)], [10, 110]),  # a wild clock moves no edge out of the window
        ([(100, 50), (110, 0)], [100, 110]),  # nor does one that goes backwards
    ],
)
def test_edges_are_placed_by_their_spacing_on_the_page(
    received: list[tuple[int, int]], placed_ms: list[int]
) -> None:
    edges = [ReceivedEdge(at, W, sent) for at, sent in received]
    assert [edge.t_ms for edge in place_edges(edges, start_ms=10)] == placed_ms


def test_look_is_used_exactly_once() -> None:
    controls = ControlState(0.0)
    press(controls, 100, look=(0.1, 0.0))
    press(controls, 200, look=(0.3, -0.2))
    steps = take(controls, 400)
    assert math.isclose(sum(step.yaw for step in steps), 0.4)
    assert math.isclose(sum(step.pitch for step in steps), -0.2)
    assert take(controls, 800) == [STILL] * 4


def test_expecting_consumes_nothing() -> None:
    controls = ControlState(0.0)
    press(controls, 210, "w", look=(0.4, 0.0))
    controls.follow(2, [LEFT])
    expected = controls.expect(4, 400)
    assert controls.expect(4, 400) == expected
    assert take(controls, 400) == expected


def test_trajectory_moves_one_step_per_latent_then_keys_again() -> None:
    controls = ControlState(0.0)
    press(controls, 0, "w")
    controls.follow(2, [LEFT] * 6)
    assert take(controls, 400) == [LEFT] * 4
    assert take(controls, 800) == [LEFT, LEFT, AHEAD, AHEAD]
    assert take(controls, 1200) == [AHEAD] * 4


def test_newer_trajectory_replaces_what_is_left_of_the_older() -> None:
    controls = ControlState(0.0)
    controls.follow(1, [LEFT] * 40)
    controls.follow(2, [AHEAD])
    assert take(controls, 400) == [AHEAD, STILL, STILL, STILL]


def test_latch_names_the_newest_message() -> None:
    controls = ControlState(0.0)
    assert controls.take(4, 100) == ([STILL] * 4, None)
    press(controls, 150, "w", seq=7)
    controls.follow(8, [LEFT])
    assert controls.take(4, 200)[1] == 8
    assert controls.take(4, 300)[1] == 8


@pytest.mark.slow
def test_ten_thousand_messages_leave_a_bounded_record_and_the_latest_state() -> None:
    controls = ControlState(0.0)
    for seq in range(10_000):
        press(controls, seq * 0.04, *(("w",) if seq % 2 else ("a",)), seq=seq)
    assert len(controls._state.window.edges) == MAX_EDGES
    steps, newest = controls.take(4, 400)
    assert newest == 9_999
    assert steps[0] == AHEAD  # the taps kept are of the last milliseconds


def test_messages_that_change_no_key_are_no_edges() -> None:
    controls = ControlState(0.0)
    for seq in range(10_000):
        press(controls, 100, "w", seq=seq, look=(0.0001, 0.0))
    assert len(controls._state.window.edges) == 1
    assert math.isclose(sum(step.yaw for step in take(controls, 400)), 1.0)


def test_forgotten_taps_and_looks_do_nothing_but_held_keys_go_on() -> None:
    controls = ControlState(0.0)
    press(controls, 100, "a", look=(0.5, 0.0))
    press(controls, 110, "w")
    controls.forget_taps(300)
    assert take(controls, 400) == [AHEAD] * 4


def test_key_released_after_forgetting_stops() -> None:
    controls = ControlState(0.0)
    press(controls, 100, "w")
    controls.forget_taps(200)
    press(controls, 300)
    assert take(controls, 400) == [STILL] * 4


def test_renewed_controls_keep_only_keys_and_number() -> None:
    controls = ControlState(0.0)
    controls.follow(1, [LEFT] * 9)
    press(controls, 100, "w", seq=2, look=(0.5, 0.0))
    renewed = controls.renewed(200)
    assert renewed.take(4, 400) == ([AHEAD] * 4, 2)


def test_cancelled_chunk_cannot_use_up_what_was_sent_after_its_cancellation() -> None:
    controls = ControlState(0.0)
    cancelled = ChunkSteering(controls, FakeClock())
    controls = controls.renewed(200)
    controls.follow(1, [LEFT] * 4)
    assert cancelled.latch(4) == [STILL] * 4
    assert take(controls, 400) == [LEFT] * 4


def test_steering_remembers_when_and_what_it_latched() -> None:
    clock = FakeClock()
    controls = ControlState(clock())
    steering = ChunkSteering(controls, clock)
    press(controls, 1100, "w", seq=5)
    clock.advance(200)
    assert steering.predict(3) == [AHEAD] * 3
    before = steering.latched
    assert before is None
    assert steering.latch(3) == [AHEAD] * 3
    assert steering.latched is not None
    assert (steering.latched.seq, steering.latched.at_ms) == (5, 1200.0)


def test_looks_from_many_threads_are_neither_lost_nor_doubled() -> None:
    controls = ControlState(0.0)
    taken: list[Motion] = []

    def turn() -> None:
        for _ in range(500):
            press(controls, 100, look=(0.001, 0.0))

    def latch() -> None:
        for _ in range(50):
            taken.extend(take(controls, 400))

    threads = [Thread(target=turn) for _ in range(4)] + [Thread(target=latch)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken += take(controls, 500)
    assert math.isclose(sum(step.yaw for step in taken), 2.0)


def test_cut_takes_the_newest_keys_for_its_latents() -> None:
    controls = ControlState(0.0)
    controls.press(1, 10, W, (0.0, 0.0), 10)
    assert take(controls, 100) == [AHEAD] * 4
    assert controls.news is None
    controls.press(2, 150, NONE, (0.0, 0.0), 150)
    assert controls.news == 2
    assert controls.expect_again(3, 200) == [STILL] * 3
    assert controls.take_again(3, 200) == ([STILL] * 3, 2)
    assert controls.news is None


def test_key_that_no_kept_latent_moved_under_is_a_tap_of_the_cut() -> None:
    controls = ControlState(0.0)
    controls.press(1, 10, W, (0.0, 0.0), 10)
    assert take(controls, 100) == [AHEAD] * 4
    controls.press(2, 150, NONE, (0.0, 0.0), 150)
    moves = only_motions(controls.take_again(4, 200)[0])
    assert moves.count(AHEAD) >= 1
    assert moves[-1] == STILL


def test_tap_that_was_thrown_away_moves_the_latents_made_again() -> None:
    controls = ControlState(0.0)
    controls.press(1, 80, W, (0.0, 0.0), 80)
    controls.press(2, 99, NONE, (0.0, 0.0), 99)
    assert take(controls, 100) == [STILL, STILL, STILL, AHEAD]
    controls.press(3, 120, A, (0.0, 0.0), 120)
    assert only_motions(controls.take_again(2, 150)[0]) == [motion_of(A), motion_of(A | W)]


def test_rest_of_a_look_is_turned_after_a_cut_and_nothing_twice() -> None:
    controls = ControlState(0.0)
    controls.press(1, 10, NONE, (0.4, 0.0), 10)
    assert [motion.yaw for motion in take(controls, 100)] == pytest.approx([0.1] * 4)
    controls.press(2, 120, NONE, (0.1, 0.0), 120)
    assert [m.yaw for m in only_motions(controls.take_again(3, 150)[0])] == pytest.approx([0.4 / 3] * 3)
    controls.press(3, 160, NONE, (0.1, 0.0), 160)
    assert [m.yaw for m in only_motions(controls.take_again(3, 200)[0])] == pytest.approx([0.5 / 3] * 3)
    controls.press(4, 220, NONE, (0.3, 0.0), 220)
    assert [m.yaw for m in only_motions(controls.take_again(1, 250)[0])] == pytest.approx([0.5 / 3 + 0.3])
    assert [m.yaw for m in take(controls, 300)] == [0.0] * 4


def test_trajectory_goes_on_where_a_cut_interrupts_it() -> None:
    turns = [Motion(yaw=0.1 * n) for n in range(6)]
    controls = ControlState(0.0)
    controls.follow(1, turns)
    assert take(controls, 100) == turns[:4]
    assert controls.expect_again(2, 150) == turns[2:4]
    assert only_motions(controls.take_again(2, 150)[0]) == turns[2:4]
    assert take(controls, 200) == [*turns[4:], STILL, STILL]


def test_new_trajectory_begins_at_a_cut() -> None:
    controls = ControlState(0.0)
    controls.follow(1, [AHEAD] * 6)
    controls.take(4, 100)
    controls.follow(2, [STILL, AHEAD])
    assert controls.take_again(3, 150) == ([STILL, AHEAD, STILL], 2)
    assert take(controls, 200) == [STILL] * 4


def test_latch_that_is_given_back_is_as_if_it_had_not_been() -> None:
    controls = ControlState(0.0)
    controls.press(1, 10, W, (0.0, 0.0), 10)
    controls.take(4, 100)
    controls.press(2, 110, W | A, (0.2, 0.0), 110)
    cut = ChunkSteering(controls, lambda: 150.0, again=True)
    cut.latch(2)
    controls.press(3, 160, W, (0.1, 0.0), 160)
    cut.give_back()
    assert controls.news == 3
    moves = only_motions(controls.take_again(1, 200)[0])
    assert moves[0].yaw == pytest.approx(0.3)
    assert moves[0].right < 0 < moves[0].forward
