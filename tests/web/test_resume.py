"""Connections that are lost over a real socket, and clients that come back."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.raw_client import Message, RawClient
from support.serving import serving
from support.stores import has_left
from support.tiny_world import make_world
from support.waiting import wait_until
from worldplay.store import keeper
from worldplay.web import disk_threads, sent_messages
from worldplay.web.visit import BOOKMARKS_BURST
from worldplay.world.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture
def address(world: World, tmp_path: Path) -> Iterator[str]:
    with serving(world, store=str(tmp_path), resume_s=60.0, max_sessions=1, max_queued=0) as address:
        yield address


def client_of(address: str, **options: Any) -> RawClient:
    return RawClient(f"ws://{address}/ws?fields=snapshots", **options)


def is_media(frame: int) -> Any:
    return lambda message: message["type"] == "media" and message["frame"] == frame


def begin(client: RawClient) -> dict[str, str]:
    """Walk until a few frames have come. Returns: what is needed to resume."""
    welcome = client.hello()
    client.start(seed=1)
    client.collect(is_media(20))
    return {"session": welcome["session"], "secret": welcome["secret"]}


def pause(client: RawClient) -> None:
    client.collect(is_media(40))
    client.send("pause")
    client.collect(lambda message: message.get("what") == "paused")


def media_of(messages: list[Message]) -> list[int]:
    return [message["frame"] for message in messages if message["type"] == "media"]


def test_client_that_comes_back_gets_what_it_missed(address: str) -> None:
    with client_of(address) as client:
        resume = begin(client)
    with client_of(address) as client:
        welcome = client.hello(resume={**resume, "fragment": 12})
        assert (welcome["resumed"], welcome["session"]) == (True, resume["session"])
        messages = client.collect(is_media(60))
    assert media_of(messages) == list(range(13, 61))
    assert "init" not in {message["type"] for message in messages}


def test_client_that_lost_too_much_gets_an_init_and_a_key_frame(address: str) -> None:
    with client_of(address) as client:
        resume = begin(client)
    with client_of(address) as client:
        client.hello(resume={**resume, "fragment": 10**6})
        assert client.recv()["type"] == "init"
        chunk = client.recv_type("chunk")
        media = client.recv()
        assert (media["type"], media["key"], media["frame"]) == ("media", True, chunk["first_frame"])
        client.collect(is_media(media["frame"] + 30))


def test_client_without_media_sees_what_there_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it has, and whatever it says that it shows: the walk is paused, so nothing else will come."""
    monkeypatch.setattr(sent_messages, "REMEMBERED_FRAMES", 20)
    with client_of(address) as client:
        resume = begin(client)
        pause(client)
    for had, shown in (
        ({}, 0.0),
        ({"fragment": 0}, 0.0),
        ({"fragment": 10**6}, 0.0),
        ({}, 10.0**6),
        ({}, None),
    ):
        with client_of(address) as client:
            client.hello(resume={**resume, **had})
            if shown is not None:
                client.send("playhead", shown=shown, buffered=0.0, stalled=0, hidden=False)
            client.recv_type("media")


def test_client_sees_something_at_once_of_a_walk_that_is_paused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sent_messages, "REMEMBERED_FRAMES", 20)
    with client_of(address) as client:
        resume = begin(client)
        pause(client)
    with client_of(address) as client:
        client.hello(resume=resume)
        assert [client.recv()["type"] for _ in range(3)] == ["init", "chunk", "media"]


def num_chunks(address: str) -> float:
    lines = httpx.get(f"http://{address}/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("worldplay_chunks_total ")))


def is_away(address: str) -> bool:
    """Return whether the server has noticed that nobody is connected."""
    lines = httpx.get(f"http://{address}/metrics").text.splitlines()
    return all(line.endswith(" 0.0") for line in lines if line.startswith("worldplay_clients{"))


def test_nothing_is_made_while_nobody_is_there(address: str) -> None:
    with client_of(address) as client:
        begin(client)
    wait_until(lambda: is_away(address))
    time.sleep(0.3)  # a chunk that was begun is made
    before = num_chunks(address)
    time.sleep(1.2)
    assert num_chunks(address) == before


def test_controls_and_prompts_count_at_once(address: str) -> None:
    with client_of(address) as client:
        resume = begin(client)
    with client_of(address) as client:
        client.hello(resume={**resume, "fragment": 20})
        seq = client.press(["w"])
        client.send("prompt", text="at night")
        messages = client.collect(lambda message: message.get("controls_seq") == seq)
    assert any(message["type"] == "state" and message["text"] == "at night" for message in messages)


def test_seq_begins_again_and_names_no_message_of_the_earlier_connection(address: str) -> None:
    with client_of(address) as client:
        resume = begin(client)
        for _ in range(7):
            highest = client.press(["w"])
        client.collect(lambda message: message.get("controls_seq") == highest)
        messages = client.collect(lambda message: message["type"] == "media")
    with client_of(address) as client:
        client.hello(resume={**resume, "fragment": media_of(messages)[0]})
        before = client.collect(is_media(media_of(messages)[0] + 20))
        seq = client.press(["d"])
        after = client.collect(lambda message: message.get("controls_seq") == seq)
    told = [message["controls_seq"] for message in [*before, *after] if message["type"] == "chunk"]
    assert set(told[:-1]) == {None}
    assert told[-1] == seq < highest


@pytest.mark.parametrize(
    "wrong", [{"secret": "guessed"}, {"session": "guessed"}, {"session": "../../x"}, {"secret": ""}]
)
def test_wrong_secret_opens_a_new_session(address: str, wrong: dict[str, str]) -> None:
    with client_of(address) as client:
        resume = begin(client)
    with client_of(address) as client:
        welcome = client.hello(resume={**resume, **wrong})
        assert not welcome["resumed"]
        assert welcome["session"] != resume["session"]


def test_later_of_two_connections_wins_and_the_earlier_is_told(address: str) -> None:
    with client_of(address) as first, client_of(address) as second:
        resume = begin(first)
        second.hello(resume={**resume, "fragment": 20})
        messages, code = first.wait_closed()
        error = messages[-1]
        assert (error["type"], error["code"], error["retryable"], code) == (
            "error",
            "taken_over",
            False,
            1008,
        )
        second.collect(is_media(60))


def test_stopped_session_cannot_be_resumed(address: str) -> None:
    with client_of(address) as client:
        resume = begin(client)
        client.send("stop")
        client.wait_closed()
    with client_of(address) as client:
        assert not client.hello(resume=resume)["resumed"]


def test_place_goes_to_who_comes_and_the_walk_goes_on_later(address: str) -> None:
    with client_of(address) as client:
        resume = begin(client)
    with client_of(address) as other:
        begin(other)
        other.send("stop")
        other.wait_closed()
    with client_of(address) as client:
        assert client.hello(resume={**resume, "fragment": 20})["resumed"]
        assert client.recv()["type"] == "init"
        chunk = client.recv_type("chunk")
        assert (chunk["first_frame"], chunk["frames"]) == (21, 4)
        assert chunk["index"] >= 1
        assert client.recv_type("chunk")["index"] == chunk["index"] + 1


def test_walk_goes_on_after_a_restart_of_the_server(world: World, tmp_path: Path) -> None:
    with serving(world, store=str(tmp_path), resume_s=60.0) as address, client_of(address) as client:
        resume = begin(client)
        client.send("prompt", text="at night")
        client.recv_type("state")
        last = client.collect(is_media(60))[-1]
    parts = {path.name for path in tmp_path.rglob("*.safetensors")}
    with serving(world, store=str(tmp_path), resume_s=60.0) as address, client_of(address) as client:
        assert client.hello(resume={**resume, "fragment": last["frame"]})["resumed"]
        messages = client.collect(is_media(last["frame"] + 20))
        kinds = [message["type"] for message in messages]
        assert kinds.index("init") < kinds.index("chunk")
        assert next(m for m in messages if m["type"] == "chunk")["index"] >= last["chunk"]
        assert media_of(messages)[0] == last["frame"] + 1
    assert parts < {path.name for path in tmp_path.rglob("*.safetensors")}  # nothing was written again


def test_walk_goes_on_that_was_under_way_when_the_server_stopped(world: World, tmp_path: Path) -> None:
    with ExitStack() as first:
        address = first.enter_context(serving(world, store=str(tmp_path), resume_s=60.0))
        client = client_of(address).__enter__()
        resume = begin(client)
        first.close()
        messages, code = client.wait_closed()
    assert (messages[-1]["type"], code) == ("bye", 1012)
    last = [message for message in messages if message["type"] == "media"][-1]
    with serving(world, store=str(tmp_path), resume_s=60.0) as address, client_of(address) as client:
        assert client.hello(resume={**resume, "fragment": last["frame"]})["resumed"]
        chunk = client.recv_type("chunk")
        assert (chunk["index"], chunk["first_frame"]) == (last["chunk"], last["frame"] + 1)


def test_walk_goes_from_server_to_server_and_the_latest_wins(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LOOK_EVERY_MS", 0.0)
    options = {"store": str(tmp_path), "resume_s": 60.0}
    with serving(world, **options) as one, serving(make_world(), **options) as other:
        with client_of(one) as client:
            resume = begin(client)
        wait_until(lambda: any(tmp_path.rglob("*.safetensors")))
        with client_of(other) as client:
            assert client.hello(resume={**resume, "fragment": 20})["resumed"]
            last = client.collect(is_media(80))[-1]
            with client_of(one) as back:  # which still has the walk in memory, as it was
                assert back.hello(resume={**resume, "fragment": 80})["resumed"]
                assert back.recv()["type"] == "init"
                assert back.recv_type("chunk")["index"] >= last["chunk"] - 4  # saved every two seconds
                messages, code = client.wait_closed(most_per_s=100)  # or it would play too fast
                assert (messages[-1]["code"], code) == ("taken_over", 1008)
                back.collect(is_media(120))
                back.send("stop")
                back.wait_closed()


def test_without_a_store_a_restarted_server_knows_nobody(world: World) -> None:
    with serving(world, resume_s=60.0) as address, client_of(address) as client:
        resume = begin(client)
        assert client.press(["w"]) == 0
    with serving(world, resume_s=60.0) as address, client_of(address) as client:
        welcome = client.hello(resume=resume)
        assert (welcome["resumed"], welcome["snapshots"]) == (False, False)


def test_walk_goes_on_where_nothing_can_be_saved(world: World, tmp_path: Path) -> None:
    store = tmp_path / "a file"
    store.write_bytes(b"and no folder")
    with serving(world, store=str(store), resume_s=60.0) as address:
        with client_of(address) as client:
            resume = begin(client)
            client.send("bookmark", name="", key="k" * 20)
            errors = client.collect(lambda message: message["type"] == "error")
            assert (errors[-1]["code"], errors[-1]["fatal"]) == ("bad_request", False)
            client.collect(is_media(60))
        with client_of(address) as client:
            assert client.hello(resume={**resume, "fragment": 60})["resumed"]
            client.collect(is_media(100))


def test_visit_ends_when_nobody_comes_back(world: World, tmp_path: Path) -> None:
    with serving(world, resume_s=0.2) as address:
        with client_of(address) as client:
            resume = begin(client)
        wait_until(lambda: httpx.get(f"http://{address}/health").json()["sessions"]["active"] == 0)
        with client_of(address) as client:
            assert not client.hello(resume=resume)["resumed"]


def test_bookmark_is_kept_and_opened_by_others(address: str) -> None:
    with client_of(address) as client:
        begin(client)
        client.send("bookmark", name="the well", key="k" * 20)
        kept = client.recv_type("bookmarked")
        assert (kept["name"], kept["chunk"] >= 2) == ("the well", True)
        client.send("stop")
        client.wait_closed()
    with client_of(address) as other:
        assert other.hello()["snapshots"]
        other.start(snapshot=kept["snapshot"])
        chunks = [other.recv_type("chunk") for _ in range(2)]
        assert [chunk["index"] for chunk in chunks] == [kept["chunk"] - 1, kept["chunk"]]
        other.send("rewind", chunk=1)
        other.collect(lambda message: message.get("what") == "rewound")
        assert other.recv_type("chunk")["index"] == 1


def test_unknown_snapshot_is_refused(address: str) -> None:
    with client_of(address) as client:
        client.hello()
        client.send("start", snapshot="nobody-knows-this-one")
        error = client.recv()
    assert (error["code"], error["fatal"]) == ("bad_request", False)


def test_live_walk_of_another_cannot_be_opened_by_its_session(address: str) -> None:
    with client_of(address) as client:
        resume = begin(client)
        client.send("start", snapshot=resume["session"])
        errors = client.collect(lambda message: message["type"] == "error")
    assert errors[-1]["code"] == "bad_request"


def test_bookmark_is_no_session_to_resume(address: str, tmp_path: Path) -> None:
    key = "my-walk-key-0123456789"
    with client_of(address) as client:
        begin(client)
        client.send("bookmark", name="a place", key=key)
        id = client.recv_type("bookmarked")["snapshot"]
        client.send("stop")
    before = (tmp_path / id / "about.json").read_bytes()
    with client_of(address) as client:
        assert not client.hello(resume={"session": id, "secret": key})["resumed"]
    assert (tmp_path / id / "about.json").read_bytes() == before
    assert len(list((tmp_path / id).iterdir())) == 2


def test_store_that_hangs_is_told_and_keeps_nobody_else(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_threads, "GIVE_WAY_S", 0.1)
    monkeypatch.setattr(disk_threads.DiskThreads.run, "__kwdefaults__", {"patience_s": 2.0})
    resumes = []
    with serving(world, store=str(tmp_path), resume_s=0.1, max_sessions=1) as address:
        for _ in range(2):
            with client_of(address) as client:
                resumes.append(begin(client))
            wait_until(lambda: has_left(tmp_path, resumes[-1]["session"]))
        hung = tmp_path / resumes[0]["session"] / "about.json"
        about = hung.read_bytes()
        hung.unlink()
        os.mkfifo(hung)
        with ExitStack() as stack:
            clients = [stack.enter_context(client_of(address)) for _ in range(2)]
            for client in clients:
                client.send("hello", protocol=1, resume=resumes[0])
            for client in clients:
                error = client.recv_type("error")
                assert (error["code"], error["retryable"]) == ("busy", True)
        _feed(hung, about)
        with client_of(address) as client:
            assert client.hello(resume=resumes[1])["resumed"]


def _feed(fifo: Path, data: bytes) -> None:
    """Let all who read a FIFO have data."""
    file = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    os.write(file, data)
    os.close(file)


def test_bookmarks_of_one_session_are_limited(address: str) -> None:
    with client_of(address) as client:
        begin(client)
        for _ in range(BOOKMARKS_BURST + 1):
            client.send("bookmark", name="", key="k" * 20)
        found = client.collect(lambda message: message["type"] == "error" and not message["fatal"])
        assert "bookmarks" in found[-1]["message"]
        assert client.recv_type("chunk")
