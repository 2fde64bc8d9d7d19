"""How a server stops, and what it says when its engine fails."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import torch

from support.paths import ENVIRONMENT
from support.raw_client import Closed, Message, RawClient
from support.serving import running, serving
from support.tiny_world import make_world
from support.waiting import wait_until
from worldplay.engine_setup import make_engine
from worldplay.settings import load_settings
from worldplay.web import world_server
from worldplay.web.address import listen
from worldplay.web.app import create_server
from worldplay.world.embedded.load import load_embedded
from worldplay.world.world import World

ENDS_WITHIN_S = 10  # promised, whatever is going on


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@contextmanager
def serving_process(model: str, **environment: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run `worldplay serve`. Yields: host and port, and the process."""
    options = ["--port", "0", "--max-sessions", "2", "--model", model]
    command = [sys.executable, "-m", "worldplay", "serve", *options]
    env = {**ENVIRONMENT, **environment}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if "ready" in line)
            next(line for line in process.stderr if "startup complete" in line)
            yield line.strip().rpartition("http://")[2], process
        finally:
            process.kill()


def messages_to_the_end(client: RawClient) -> tuple[list[Message], int]:
    messages = []
    try:
        while True:
            messages.append(client.recv())
    except Closed as closed:
        return messages, closed.code


@pytest.mark.slow
def test_sigterm_ends_walks_and_clips_politely(tiny_model: str) -> None:
    with serving_process(tiny_model) as (address, process):
        answers: list[httpx.Response] = []
        body = {"prompt": "x", "num_frames": 2397}
        url = f"http://{address}/api/generate-video"
        post = threading.Thread(target=lambda: answers.append(httpx.post(url, json=body, timeout=30)))
        post.start()
        with RawClient(f"ws://{address}/ws?fields=resume_in") as client:
            client.hello()
            client.start(seed=1)
            client.recv_type("chunk")
            wait_until(lambda: httpx.get(f"http://{address}/health").json()["jobs"]["queued"] == 1)
            began_s = time.monotonic()
            process.send_signal(signal.SIGTERM)
            messages, code = messages_to_the_end(client)
        assert process.wait(ENDS_WITHIN_S) == 0
        took_s = time.monotonic() - began_s
        post.join()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert took_s < ENDS_WITHIN_S
    assert (messages[-1]["type"], messages[-1]["resume_in"], code) == ("bye", 5.0, 1012)
    _check_last_chunk_is_whole(messages)
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (503, "stopped")


@pytest.mark.slow
def test_walk_goes_on_after_an_update(tmp_path: Path, tiny_model: str) -> None:
    store = str(tmp_path / "walks")
    with serving_process(tiny_model, WORLDPLAY_STORE=store) as (address, process):
        with RawClient(f"ws://{address}/ws") as client:
            welcome = client.hello()
            client.start(seed=1)
            client.collect(lambda message: message["type"] == "chunk" and message["index"] == 2)
            process.send_signal(signal.SIGTERM)
            messages, _ = messages_to_the_end(client)
        assert process.wait(ENDS_WITHIN_S) == 0
    last = [message for message in messages if message["type"] == "media"][-1]
    frame = last["frame"]
    world = load_embedded(Path(tiny_model), torch.device("cpu"))
    with serving(world, store=store, resume_s=60.0) as address, RawClient(f"ws://{address}/ws") as client:
        resume = {"session": welcome["session"], "secret": welcome["secret"], "fragment": frame}
        assert client.hello(resume=resume)["resumed"]
        chunk = client.recv_type("chunk")
        assert (chunk["index"], chunk["first_frame"]) == (last["chunk"], frame + 1)


def _check_last_chunk_is_whole(messages: list[Message]) -> None:
    chunks = [index for index, message in enumerate(messages) if message["type"] == "chunk"]
    if chunks:
        frames = [message for message in messages[chunks[-1] :] if message["type"] == "media"]
        assert len(frames) == messages[chunks[-1]]["frames"]


class HangingWorld:
    """A world whose next stage hangs while it is told to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.goes_on = threading.Event()

    def __getattr__(self, name: str) -> object:
        if name == "open_walk":
            self.goes_on.wait(60)
        return getattr(self._world, name)


def test_stage_that_hangs_is_noticed(world: World, tmp_path: Path) -> None:
    settings = load_settings(port=0, max_sessions=1, stage_timeout_s=1.0, static_dir=tmp_path, store="none")
    hanging = HangingWorld(world)
    engine = make_engine(settings, hanging)  # type: ignore[arg-type]
    server = create_server(settings, world, engine)
    listening = listen(settings.host, settings.port)
    with running(server, listening) as address:
        assert httpx.get(f"http://{address}/ready").status_code == 200
        with RawClient(f"ws://{address}/ws") as client:
            client.hello()
            client.send("start")
            wait_until(lambda: httpx.get(f"http://{address}/live").status_code != 200)
            health = httpx.get(f"http://{address}/health")
            assert (health.status_code, health.json()["live"], health.json()["ready"]) == (503, False, False)
            hanging.goes_on.set()


def test_engine_that_stays_dead_ends_the_server(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world_server, "SHOWN_S", 2)
    settings = load_settings(port=0, max_sessions=1, static_dir=tmp_path, store="none")
    engine = make_engine(settings, world)
    server = create_server(settings, world, engine)
    listening = listen(settings.host, settings.port)
    with running(server, listening) as address:
        engine.close()
        assert httpx.get(f"http://{address}/live").status_code == 503
        wait_until(lambda: server.has_failed)


@pytest.mark.slow
def test_sigterm_ends_a_server_whose_disk_hangs(tmp_path: Path, tiny_model: str) -> None:
    with serving_process(tiny_model, WORLDPLAY_STORE=str(tmp_path)) as (address, process):
        with RawClient(f"ws://{address}/ws") as client:
            client.hello()
            client.start(seed=1)
            client.recv_type("chunk")
            wait_until(lambda: any(tmp_path.iterdir()))
            (folder,) = tmp_path.iterdir()
            for number in range(1, 30):
                os.mkfifo(folder / f"{number:08d}.safetensors.part")
            client.collect(lambda message: message["type"] == "chunk" and message["index"] == 8)
            process.send_signal(signal.SIGTERM)
            _, code = messages_to_the_end(client)
        assert process.wait(ENDS_WITHIN_S) == 0
    assert code == 1012
