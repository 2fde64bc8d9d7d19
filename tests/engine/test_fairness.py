"""Commands of one session must not starve the others."""

import pytest

from support.fake_world import FakeWalk
from support.fakes import Recorder, started
from worldplay.engine.command_queue import COMMAND_REST


def test_of_waiting_prompts_only_the_newest_is_applied() -> None:
    theatre, page, session = started()
    for number in range(20):
        session.prompt(f"text {number}")
    theatre.run(2000)
    assert [event[1] for event in page.events if event[0] == "prompt"] == [{"chunk": 2, "text": "text 19"}]


def test_session_that_sends_prompts_gets_a_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    theatre, page, _ = started()
    greedy = theatre.open(Recorder())
    theatre.run(100)
    greedy.pause()
    walk = greedy.walk
    assert isinstance(walk, FakeWalk)
    monkeypatch.setattr(walk, "set_prompt", lambda text: theatre.world.spend("prompt", "walk2", 400))
    stalled_ms = page.stalled_ms
    for number in range(40):
        greedy.prompt(f"text {number}")
        theatre.run(250)
    assert theatre.world.log.count(("prompt", "walk2")) <= 2 + 10_000 / (400 * (1 + COMMAND_REST))
    assert page.stalled_ms - stalled_ms < 1000
