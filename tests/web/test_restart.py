"""Who gets a place after a restart of the server: those who walked, before newcomers."""

import errno
import os
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from support.raw_client import RawClient
from support.serving import serving
from support.stores import has_left
from support.tiny_world import make_world
from support.waiting import wait_until
from worldplay.store.files import Files

FIELDS = "fields=places"


def client(address: str) -> RawClient:
    return RawClient(f"ws://{address}/ws?{FIELDS}")


def walk_and_restart(options: dict[str, object]) -> dict[str, object]:
    """Walk on a server that ends. Returns: what is needed to resume."""
    with serving(make_world(), **options) as address, client(address) as walker:
        welcome = walker.hello()
        walker.start(seed=1)
        last = walker.recv_type("media")["frame"]
    return {"session": welcome["session"], "secret": welcome["secret"], "fragment": last}


def test_who_walked_goes_before_a_newcomer_who_starts_first(tmp_path: Path) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 60.0, "max_sessions": 1}
    resume = walk_and_restart(options)
    with ExitStack() as stack:
        address = stack.enter_context(serving(make_world(), **options))
        newcomer, walker = stack.enter_context(client(address)), stack.enter_context(client(address))
        assert newcomer.hello()["places"]["free"] == 0
        newcomer.send("start", seed=2)
        assert newcomer.recv_type("queued")["position"] == 1
        assert walker.hello(resume=resume)["resumed"]
        assert walker.recv_type("chunk")
        walker.send("stop")
        assert newcomer.recv_type("chunk")


def test_who_comes_back_late_to_a_full_queue_waits(tmp_path: Path) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 60.0, "max_sessions": 1}
    resume = walk_and_restart(options)
    options |= {"max_queued": 0, "return_s": 0.0}
    with serving(make_world(), **options) as address, client(address) as newcomer, client(address) as walker:
        newcomer.hello()
        newcomer.start(seed=2)
        newcomer.recv_type("chunk")
        assert walker.hello(resume=resume)["resumed"]
        assert walker.recv_type("queued")["position"] == 1
        newcomer.send("stop")
        assert walker.recv_type("chunk")


def test_server_beside_another_keeps_no_place_for_who_walks_there(tmp_path: Path) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 60.0, "max_sessions": 1}
    with serving(make_world(), **options) as one, client(one) as walker:
        walker.hello()
        walker.start(seed=1)
        walker.recv_type("media")
        while not (parts := list(tmp_path.rglob("*.safetensors"))):
            time.sleep(0.01)
        os.utime(parts[0], (time.time() + 1.0,) * 2)  # a sign of life
        with serving(make_world(), **options) as other, client(other) as newcomer:
            assert newcomer.hello()["places"]["free"] == 1


@pytest.mark.parametrize("returned", [{"return_s": 0.0}, {"return_s": 0.5}, {"resume_s": 0.0}])
def test_newcomer_gets_the_place_that_nobody_comes_back_to(
    tmp_path: Path, returned: dict[str, object]
) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 60.0, "max_sessions": 1}
    walk_and_restart(options)
    with serving(make_world(), **{**options, **returned}) as address, client(address) as newcomer:
        newcomer.hello()
        newcomer.start(seed=2)
        assert newcomer.recv_type("chunk")


def test_place_is_kept_for_nobody_who_left(tmp_path: Path) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 0.1, "max_sessions": 1}
    with serving(make_world(), **options) as address:
        with client(address) as walker:
            welcome = walker.hello()
            walker.start(seed=1)
            walker.recv_type("media")
        wait_until(lambda: has_left(tmp_path, welcome["session"]))  # nobody comes back
    with serving(make_world(), **options) as address, client(address) as newcomer:
        assert newcomer.hello()["places"]["free"] == 1


def test_walk_that_cannot_be_read_for_a_while_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 60.0}
    resume = walk_and_restart(options)
    with serving(make_world(), **options) as address:
        for method in ("read", "read_all", "list"):
            with monkeypatch.context() as context, client(address) as walker:
                context.setattr(Files, method, fail_to_read)
                walker.send("hello", protocol=1, resume=resume)
                error = walker.recv_type("error")
                assert (error["code"], error["retryable"]) == ("busy", True)
        with client(address) as walker:
            assert walker.hello(resume=resume)["resumed"]


def fail_to_read(*arguments: object) -> bytes:
    raise OSError(errno.EIO, "Input/output error")


def test_walk_of_another_model_is_not_resumed_but_kept(tmp_path: Path) -> None:
    options: dict[str, object] = {"store": str(tmp_path), "resume_s": 60.0, "return_s": 0.0}
    resume = walk_and_restart(options)
    other = replace(make_world(), weights="newer weights")
    with serving(other, **options) as address, client(address) as walker:
        assert not walker.hello(resume=resume)["resumed"]
        walker.start(seed=1)
        assert walker.recv_type("chunk")
    with serving(make_world(), **options) as address, client(address) as walker:
        assert walker.hello(resume=resume)["resumed"]
        assert walker.recv_type("chunk")
