"""Cuts and receipts over a real socket: what clients get that ask for them, and others."""

import time
from contextlib import suppress
from itertools import pairwise

import pytest

from support.raw_client import Message, RawClient, of
from worldplay.engine.session import Session


def test_only_a_client_that_asks_gets_receipts_and_the_latch(server: str) -> None:
    with RawClient(f"ws://{server}/ws?fields=received,latch") as client:
        assert client.hello()["latch"] == "latent"
        client.start(seed=1)
        before_ms = time.monotonic() * 1000
        seq = client.press(["w"])
        receipt = client.recv_type("received")
        assert receipt["seq"] == seq
        assert before_ms <= receipt["at"] <= time.monotonic() * 1000
    with RawClient(f"ws://{server}/ws") as client:
        assert "latch" not in client.hello()
        client.start(seed=1)
        client.press(["w"])
        messages = client.collect(lambda message: message["type"] == "chunk" and message["index"] == 2)
    assert {message["type"] for message in messages} == {"chunk", "media"}
    assert not any("revision" in chunk for chunk in of("chunk", messages))


def test_what_a_client_wants_to_have_buffered_reaches_the_engine(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(Session, "playhead", lambda _, *report: told.append(report))
    with RawClient(f"ws://{server}/ws?fields=wanted") as client:
        assert client.hello()["wanted"] is True
        client.start(seed=1)
        client.send("playhead", shown=0.5, buffered=0.25, stalled=0, hidden=False, wanted=0.0625)
        client.send("playhead", shown=0.75, buffered=0.0, stalled=0, hidden=False)
        client.send("ping", t=1.0)
        client.recv_type("pong")
    assert {(0.5, 0.25, False, 0.0625), (0.75, 0.0, False, None)} <= set(told)


class Viewer:
    """Plays what comes in real time, as a browser does, and presses a key now and then."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self.messages: list[Message] = []
        self._first_s = 0.0

    def watch(self, duration_s: float) -> None:
        began_s = told_s = pressed_s = time.monotonic()
        keys: list[str] = []
        while (now_s := time.monotonic()) < began_s + duration_s:
            if now_s > told_s + 0.1:
                told_s = now_s
                self._tell(now_s)
            if now_s > pressed_s + 0.53:
                pressed_s, keys = now_s, [] if keys else ["right"]
                self.client.press(keys)
            with suppress(TimeoutError):
                self.messages.append(self.client.recv(timeout=0.02))
                if self.messages[-1]["type"] == "media":
                    self._first_s = self._first_s or now_s

    def _tell(self, now_s: float) -> None:
        media = [message for message in self.messages if message["type"] == "media"]
        held = (1 + media[-1]["frame"]) / 24 if media else 0.0
        shown = min(held, now_s - self._first_s) if media else 0.0
        self.client.send("playhead", shown=shown, buffered=held - shown, stalled=0, hidden=False)


@pytest.mark.realtime
@pytest.mark.parametrize("query", ["", "?fields=revision"])
def test_chunks_are_cut_without_a_gap(server: str, query: str) -> None:
    with RawClient(f"ws://{server}/ws{query}", plays=False) as client:
        client.hello()
        client.start(seed=1)
        viewer = Viewer(client)
        viewer.watch(8.0)
    media = [message for message in viewer.messages if message["type"] == "media"]
    assert [message["frame"] for message in media] == list(range(len(media)))
    announced = of("chunk", viewer.messages)
    firsts = {chunk["first_frame"] for chunk in announced}
    assert {message["frame"] for message in media if message["key"]} == firsts - {len(media)}
    cuts = [(before, after) for before, after in pairwise(announced) if before["index"] == after["index"]]
    assert cuts
    for before, after in cuts:
        kept = 4 - after["frames"] // 4
        assert after["poses"][:kept] == before["poses"][:kept]
        assert after["poses"][kept:] != before["poses"][kept:]
        assert after.get("first_latent", kept) == kept
        assert ("revision" in after) == bool(query)
