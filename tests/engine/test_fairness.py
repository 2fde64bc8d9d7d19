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


class Passer(Recorder):
    """Leaves as soon as its walk begins, or with its first frames."""

    def __init__(self, stays: bool) -> None:
        super().__init__()
        self._stays = stays

    def on_started(self, prompt: str, taken_as: str | None) -> None:
        super().on_started(prompt, taken_as)
        if not self._stays:
            self.session.close()

    def tell_encoded(self, num_frames: int) -> None:
        super().tell_encoded(num_frames)
        self.session.close()


@pytest.mark.parametrize("stays", [True, False])
def test_walker_is_in_time_while_many_come_and_go(stays: bool) -> None:
    theatre, page, _ = started(max_sessions=2, max_queued=200, open_ms=60)
    stalled_ms = page.stalled_ms
    for _ in range(200):
        theatre.open(Passer(stays))
    theatre.run(8000)
    assert page.stalled_ms - stalled_ms < 100
