"""Walkers who only hold keys, or follow a trajectory, are asked whether they are there while others wait."""

import pytest

from engine.test_slot_sharing import states, theatre_with
from support.fakes import Page, Theatre, names
from worldplay.engine.activity import ANSWER_S, SlotLimits
from worldplay.world.camera import Motion


def hold_one_key(theatre: Theatre) -> Page:
    page = theatre.open_page()
    page.session.controls(0, 0.0, frozenset(["w"]))
    return page


def test_key_that_is_only_held_keeps_a_slot_while_nobody_waits() -> None:
    theatre = theatre_with(SlotLimits(idle_s=5))
    page = hold_one_key(theatre)
    theatre.run(60_000)
    assert not {"idle", "yielded"} & set(names(page))


def test_key_that_is_only_held_is_no_input_after_a_question_that_nobody_answers() -> None:
    theatre = theatre_with(SlotLimits(idle_s=5))
    page = hold_one_key(theatre)
    theatre.open_page()
    theatre.run(5000 + ANSWER_S * 1000)
    assert names(page).count("idle") == 1
    assert states(page) == []
    theatre.run(2000)
    assert [event[:2] for event in states(page)] == [("yielded", {"text": "idle"}), ("queued", 1)]


@pytest.mark.parametrize("keys", [["w", "a"], ["w"], []])
def test_any_input_answers_the_question(keys: list[str]) -> None:
    theatre = theatre_with(SlotLimits(idle_s=30))
    page = hold_one_key(theatre)
    theatre.open_page()
    theatre.run(32_000)
    assert "idle" in names(page)
    page.session.controls(1, 0.0, frozenset(keys))
    theatre.run(29_000)
    assert states(page) == []


def test_question_is_forgotten_when_nobody_waits_any_more() -> None:
    theatre = theatre_with(SlotLimits(idle_s=5))
    page = hold_one_key(theatre)
    for num_asked in (1, 2):
        other = theatre.open_page()
        theatre.run(8000)
        other.session.close()
        theatre.clock.pages.remove(other)
        theatre.run(ANSWER_S * 1000)
        assert names(page).count("idle") == num_asked
    assert states(page) == []


def test_trajectory_that_was_asked_for_long_ago_is_no_input_after_the_question_either() -> None:
    theatre = theatre_with(SlotLimits(idle_s=5))
    page = theatre.open_page()
    page.session.poses(0, [Motion(forward=0.1)] * 6 * 60)
    theatre.open_page()
    theatre.run(7000 + ANSWER_S * 1000)
    assert [name for name in names(page) if name in ("idle", "yielded")] == ["idle", "yielded"]
