"""Walks that cannot be saved: their visitors are told, and what is lost when they come back."""

import errno
from pathlib import Path
from typing import Any

import pytest

from support.raw_client import RawClient
from support.serving import serving
from support.tiny_world import make_world
from support.waiting import wait_until
from worldplay.store import keeper
from worldplay.store.errors import StoreFullError
from worldplay.store.files import Files
from worldplay.store.store import Store
from worldplay.world.snapshot import Snapshot

FIELDS = "fields=unsaved,missing_chunks"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "SAVE_EVERY_MS", 20.0)
    monkeypatch.setattr(keeper, "RETRY_MS", 20.0)


def refuse(*arguments: object) -> None:
    raise StoreFullError


class Saved:
    """How many latents the store has of each walk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ends: dict[str, int] = {}
        self._append = Store.append
        monkeypatch.setattr(Store, "append", lambda *arguments: self._note(*arguments))

    def wait_for_chunk(self, walk: str, chunk: int) -> None:
        wait_until(lambda: self._ends.get(walk, 0) >= 4 * (chunk + 1))

    def _note(self, store: Store, id: str, number: int, part: Snapshot, *writer: str) -> int:
        size = self._append(store, id, number, part, *writer)
        self._ends[id] = part.end
        return size


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> Saved:
    return Saved(monkeypatch)


def is_state(what: str) -> Any:
    return lambda message: message["type"] == "state" and message["what"] == what


def is_chunk(index: int) -> Any:
    return lambda message: message["type"] == "chunk" and message["index"] >= index


def test_walker_is_told_that_the_walk_is_not_saved_and_that_it_is_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: Saved
) -> None:
    with serving(make_world(), store=str(tmp_path), resume_s=60.0) as address:
        url = f"ws://{address}/ws?{FIELDS}"
        with RawClient(url) as client, RawClient(f"ws://{address}/ws") as old:
            welcome, _ = client.hello(), old.hello()
            client.start(seed=1)
            old.start(seed=1)
            client.collect(is_chunk(1))
            saved.wait_for_chunk(welcome["session"], 1)
            with monkeypatch.context() as context:
                context.setattr(Store, "append", refuse)
                told = client.collect(is_state("unsaved"))[-1]
                assert (told["text"], told["chunk"] >= 1) == ("full", True)
                old.collect(is_chunk(6))
                client.close()
                resume = {"session": welcome["session"], "secret": welcome["secret"]}
                with RawClient(url) as back:
                    assert back.hello(resume=resume)["missing_chunks"] == 0
                    back.collect(is_state("unsaved"))
                    context.undo()
                    back.collect(is_state("saved"))
            messages = old.collect(is_chunk(9))
            assert "state" not in {message["type"] for message in messages}


@pytest.mark.parametrize("tells", [True, False])
def test_client_is_told_how_much_of_its_walk_is_missing(
    tells: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: Saved
) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 60.0}
    with serving(make_world(), **options) as address, RawClient(f"ws://{address}/ws?{FIELDS}") as client:
        welcome = client.hello()
        assert welcome["missing_chunks"] == 0
        client.start(seed=1)
        client.collect(is_chunk(1))
        saved.wait_for_chunk(welcome["session"], 1)
        monkeypatch.setattr(Store, "append", refuse)
        last = client.collect(is_chunk(8))[-1]["index"]
    monkeypatch.undo()
    resume = {"session": welcome["session"], "secret": welcome["secret"], "chunk": last}
    query = FIELDS if tells else ""
    with serving(make_world(), **options) as address, RawClient(f"ws://{address}/ws?{query}") as client:
        missing = client.hello(resume=resume).get("missing_chunks")
        shown = client.recv_type("chunk")["index"]
        assert shown < last
        assert missing == (last - shown if tells else None)


def test_walk_goes_on_after_a_restart_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: Saved
) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 60.0}
    with serving(make_world(), **options) as address, RawClient(f"ws://{address}/ws?{FIELDS}") as client:
        welcome = client.hello()
        client.start(seed=1)
        last = client.collect(is_chunk(3))[-1]["index"]
        saved.wait_for_chunk(welcome["session"], 3)
    resume = {"session": welcome["session"], "secret": welcome["secret"]}
    with serving(make_world(), **options) as address, RawClient(f"ws://{address}/ws?{FIELDS}") as client:
        with monkeypatch.context() as context:
            context.setattr(Files, "write", fail_to_write)
            assert client.hello(resume=resume)["resumed"]
            messages = client.collect(is_state("unsaved"))
            assert messages[-1]["text"] == "disk"
            shown = next((m for m in messages if m["type"] == "chunk"), None) or client.recv_type("chunk")
            assert shown["index"] >= last
        client.collect(is_state("saved"))
        last = client.recv_type("chunk")["index"]
        saved.wait_for_chunk(welcome["session"], last)
    with serving(make_world(), **options) as address, RawClient(f"ws://{address}/ws?{FIELDS}") as client:
        assert client.hello(resume=resume)["resumed"]
        assert client.recv_type("chunk")["index"] >= last


def fail_to_write(*arguments: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")
