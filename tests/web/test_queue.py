"""The queue over the socket: places before a start, waits, and slots that go to others."""

from collections.abc import Iterator

import pytest

from support.raw_client import RawClient
from support.serving import serving
from support.tiny_world import make_world
from worldplay.world.world import World

FIELDS = "fields=places,yielded"


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def single(world: World) -> Iterator[str]:
    """A server for one walker at a time, who may be idle for a second."""
    with serving(world, max_sessions=1, idle_limit_s=1.0) as address:
        yield address


@pytest.fixture
def patient(world: World) -> Iterator[str]:
    """A server for one walker at a time, who may be idle for longer than a test takes."""
    with serving(world, max_sessions=1) as address:
        yield address


def client(address: str, query: str = FIELDS) -> RawClient:
    return RawClient(f"ws://{address}/ws?{query}")


def test_client_knows_before_its_start_whether_there_is_a_place(patient: str) -> None:
    with client(patient) as first:
        assert first.hello()["places"] == {"free": 1, "queued": 0, "eta": 0.0}
        first.start(seed=1)
        with client(patient) as second:
            places = second.hello()["places"]
            assert (places["free"], places["queued"]) == (0, 0)
            assert places["eta"] > 0
    with client(patient, "") as old:
        assert "places" not in old.hello()


def test_who_comes_back_to_a_walk_is_not_told_that_all_places_are_taken(world: World) -> None:
    with serving(world, max_sessions=1, resume_s=60.0) as address:
        with client(address) as first:
            welcome = first.hello()
            first.start(seed=1)
            frame = first.recv_type("media")["frame"]
        with client(address) as newcomer:
            assert newcomer.hello()["places"]["free"] == 0
        resume = {"session": welcome["session"], "secret": welcome["secret"], "fragment": frame}
        with client(address) as again:
            welcome = again.hello(resume=resume)
            assert welcome["resumed"]
            assert "places" not in welcome


def test_wait_is_always_told(patient: str) -> None:
    with client(patient) as first, client(patient) as second:
        for each in (first, second):
            each.hello()
        first.start(seed=1)
        second.send("start", seed=2)
        queued = second.recv_type("queued")
        assert (queued["position"], queued["eta"]) == (1, 60.0)


@pytest.mark.parametrize("query", [FIELDS, ""])
def test_idle_walker_is_told_that_its_place_went_to_another(single: str, query: str) -> None:
    with client(single, query) as idle, client(single) as second:
        idle.hello()
        second.hello()
        idle.start(seed=1)
        idle.recv_type("media")
        second.send("start", seed=2)
        messages = idle.collect(lambda message: message["type"] == "queued")
        second.recv_type("media")
        yielded = [message["text"] for message in messages if message["type"] == "state"]
        assert yielded == (["idle"] if query else [])
        idle.press(["w"])
        second.send("stop")
        again = idle.recv_type("chunk")
        assert again["index"] > 0


def test_new_walks_are_refused_first_if_memory_is_short(
    patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client(patient) as walking, client(patient) as late:
        walking.hello()
        walking.start(seed=1)
        monkeypatch.setattr("worldplay.web.receiver.is_memory_short", lambda: True)
        late.hello()
        late.send("start", seed=2)
        messages, code = late.wait_closed()
        assert (messages[-1]["code"], code) == ("busy", 1013)
        assert "short of memory" in messages[-1]["message"]
        walking.send("start", seed=3)
        assert walking.recv_type("init")


def test_client_that_starts_nothing_is_sent_away(single: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldplay.web.stream.SILENCE_TIMEOUT_S", 0.2)
    with client(single) as idle:
        idle.hello()
        messages, code = idle.wait_closed()
        assert (messages[-1]["type"], messages[-1]["reason"], code) == ("bye", "no walk was started", 1000)


def test_walker_that_only_holds_a_key_is_asked_for_more(single: str) -> None:
    with client(single, "fields=idle") as holding, client(single) as second:
        holding.hello()
        second.hello()
        holding.start(seed=1)
        holding.press(["w"])
        second.send("start", seed=2)
        assert holding.collect(lambda message: message == {"type": "state", "what": "idle"})


@pytest.mark.parametrize("query", ["fields=seated", ""])
def test_paused_walker_is_told_that_it_has_its_place_back(single: str, query: str) -> None:
    with client(single, query) as paused, client(single) as second:
        paused.hello()
        second.hello()
        paused.start(seed=1)
        paused.recv_type("media")
        paused.send("pause")
        second.send("start", seed=2)
        second.recv_type("media")
        paused.collect(lambda message: message["type"] == "queued")
        second.send("stop")
        if query:
            assert paused.recv()["what"] == "seated"
        paused.send("resume")
        told = paused.collect(lambda message: message["type"] == "chunk")
        assert [message["what"] for message in told if message["type"] == "state"] == ["resumed"]


def test_wait_that_is_told_falls(patient: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldplay.engine.slot_sharing.TELL_WAIT_EVERY_MS", 100.0)
    with client(patient) as first, client(patient) as second:
        first.hello()
        second.hello()
        first.start(seed=1)
        first.press(["w"])  # it is not idle
        second.send("start", seed=2)
        waits = [second.recv_type("queued")["eta"] for _ in range(3)]
        assert waits[0] == 60.0
        assert waits[0] > waits[1] > waits[2] > 50.0
