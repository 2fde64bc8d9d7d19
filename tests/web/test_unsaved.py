"""Walks that cannot be saved: their visitors are told, and what is lost when they come back."""

from pathlib import Path
from typing import Any

import pytest

from support.raw_client import RawClient
from support.serving import serving
from support.tiny_world import make_world
from support.waiting import wait_until
from worldplay.store import keeper
from worldplay.store.errors import StoreFullError
from worldplay.store.store import Store

FIELDS = "fields=unsaved,missing_chunks"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "SAVE_EVERY_MS", 20.0)
    monkeypatch.setattr(keeper, "RETRY_MS", 20.0)


def refuse(*arguments: object) -> None:
    raise StoreFullError


def wait_saved(folder: Path) -> None:
    """Wait until a walk has a part after the one that it begins with, which is empty."""
    wait_until(lambda: any(part.name > "00000000.safetensors" for part in folder.glob("*.safetensors")))


def is_state(what: str) -> Any:
    return lambda message: message["type"] == "state" and message["what"] == what


def is_chunk(index: int) -> Any:
    return lambda message: message["type"] == "chunk" and message["index"] >= index


def test_walker_is_told_that_the_walk_is_not_saved_and_that_it_is_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(make_world(), store=str(tmp_path), resume_s=60.0) as address:
        url = f"ws://{address}/ws?{FIELDS}"
        with RawClient(url) as client, RawClient(f"ws://{address}/ws") as old:
            welcome, _ = client.hello(), old.hello()
            client.start(seed=1)
            old.start(seed=1)
            client.collect(is_chunk(1))
            wait_saved(tmp_path / welcome["session"])
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
    tells: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 60.0}
    with serving(make_world(), **options) as address, RawClient(f"ws://{address}/ws?{FIELDS}") as client:
        welcome = client.hello()
        assert welcome["missing_chunks"] == 0
        client.start(seed=1)
        client.collect(is_chunk(1))
        wait_saved(tmp_path / welcome["session"])
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
