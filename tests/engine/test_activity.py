"""When a client should give its slot to somebody who waits."""

import pytest

from worldplay.engine.activity import PAUSED_S, SILENT_S, Activity, SlotLimits

LIMITS = SlotLimits(idle_s=120, visit_s=600)


def playing(activity: Activity, until_s: float, is_stopped: bool = False) -> None:
    activity.note_media(until_s * 1000 - 100)
    activity.note_report(is_stopped, until_s * 1000)


def test_client_that_presses_keys_now_and_then_keeps_its_slot() -> None:
    activity = Activity(0)
    for second in range(0, 590, 100):
        activity.note_keys(True, second * 1000)
        activity.note_keys(False, second * 1000 + 100)
        playing(activity, second + 99)
        assert activity.find_reason(LIMITS, (second + 99) * 1000) is None


def test_held_key_is_input() -> None:
    activity = Activity(0)
    activity.note_keys(True, 0)
    playing(activity, 500)
    assert activity.find_reason(LIMITS, 500_000) is None


def test_trajectory_is_input_while_it_lasts() -> None:
    activity = Activity(0)
    activity.note_trajectory(300, 0)
    playing(activity, 419)
    assert activity.find_reason(LIMITS, 419_000) is None
    playing(activity, 421)
    assert activity.find_reason(LIMITS, 421_000) == "idle"


def test_client_that_only_watches_is_idle() -> None:
    activity = Activity(0)
    playing(activity, 121)
    assert activity.find_reason(LIMITS, 121_000) == "idle"


def test_client_that_says_nothing_of_its_media_is_silent() -> None:
    activity = Activity(0)
    assert activity.find_reason(LIMITS, SILENT_S * 1000 + 1) is None  # it has got nothing yet
    activity.note_media(1000)
    assert activity.find_reason(LIMITS, 1000 + SILENT_S * 1000) is None
    assert activity.find_reason(LIMITS, 1001 + SILENT_S * 1000) == "silent"


def test_paused_client_gives_its_slot_back_soon() -> None:
    activity = Activity(0)
    for second in range(1, 13):
        playing(activity, second, is_stopped=True)
    assert activity.find_reason(LIMITS, 1000 + PAUSED_S * 1000) is None
    assert activity.find_reason(LIMITS, 1001 + PAUSED_S * 1000) == "paused"
    playing(activity, 13)
    assert activity.find_reason(LIMITS, 13_000) is None


@pytest.mark.parametrize(("visit_s", "reason"), [(600.0, "turn"), (float("inf"), None)])
def test_longest_visit_is_a_choice(visit_s: float, reason: str | None) -> None:
    activity = Activity(0)
    activity.note_keys(True, 600_500)
    playing(activity, 601)
    assert activity.find_reason(SlotLimits(120, visit_s), 601_000) == reason


def test_limits_count_from_when_the_slot_was_given() -> None:
    activity = Activity(0)
    activity.note_slot(1_000_000)
    assert activity.find_reason(LIMITS, 1_100_000) is None
