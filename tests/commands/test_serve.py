"""How a server starts: what it says meanwhile, and what it needs to say before."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch

from support.paths import ENVIRONMENT
from support.tiny_world import HEIGHT, WIDTH, make_world
from worldplay.commands import serve
from worldplay.world.world import World

pytestmark = pytest.mark.slow


@contextmanager
def starting(*arguments: str, **environment: str) -> Iterator[Iterator[str]]:
    """Run `worldplay serve`. Yields: what it says, line by line."""
    command = [sys.executable, "-m", "worldplay", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command, env={**ENVIRONMENT, **environment}, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        try:
            yield iter(server.stderr)
        finally:
            server.terminate()


def said_until(word: str, lines: Iterator[str]) -> list[str]:
    """Messages without time, level and module."""
    said = []
    for line in lines:
        said.append(line.strip().partition(": ")[2])
        if word in line:
            return said
    raise AssertionError(said)


def build_page(folder: Path) -> Path:
    (folder / "index.html").write_text("<!doctype html><title>A page</title>")
    return folder


@dataclass(frozen=True, slots=True)
class Start:
    """What a server of the embedded world said until it was ready, and answered then; and what it cost."""

    said: list[str]
    health: dict[str, object]
    page: str
    cpu_s: float  # of its whole life


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    folder, before_s = build_page(tmp_path_factory.mktemp("page")), ended_children_s()
    with starting(WORLDPLAY_STATIC_DIR=str(folder)) as lines:
        said = said_until("ready", lines)
        said_until("startup complete", lines)
        url = said[-1].rpartition("walk at ")[2]
        health, page = httpx.get(f"{url}/health", timeout=60).json(), httpx.get(url).text
    return Start(said, health, page, ended_children_s() - before_s)


def ended_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_server_says_what_it_is_doing_until_it_is_ready(start: Start) -> None:
    loading, attention, measuring, counted, _ = start.said
    assert loading == "loading the model 'embedded'"
    assert attention.startswith(("attention by sdpa (", "attention by matmul ("))
    assert measuring == "measuring how many visitors can walk at once in real time"
    expected = ("visitors who can walk at once in real time: ", "walks are in slow motion")
    assert counted.startswith(expected)
    assert start.health["ready"] is True
    assert "A page" in start.page


def test_embedded_world_is_ready_in_seconds(start: Start) -> None:
    """Of a core; most of them go into importing libraries."""
    assert start.cpu_s < 15.0


def test_server_without_a_page_says_how_to_build_it(tmp_path: Path, tiny_model: str) -> None:
    options = ("--max-sessions", "1", "--model", tiny_model)
    with starting(*options, WORLDPLAY_STATIC_DIR=str(tmp_path), HOST="", PORT="") as lines:
        said = said_until("startup complete", lines)
    assert f"there is no page in {tmp_path}: build it with `make page`, or name another folder" in said[4]
    assert "ready, visitors at once: 1; without a page at http://127.0.0.1:" in said[5]
    assert "walk at http" not in " ".join(said)


def test_host_of_another_is_ignored(tiny_model: str) -> None:
    host = "x86_64-conda-linux-gnu"
    with starting("--max-sessions", "1", "--model", tiny_model, HOST=host, PORT="") as lines:
        assert "at http://127.0.0.1:" in said_until("ready", lines)[-1]


def test_the_gpu_that_computes_a_world_encodes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int, int]] = []

    def find(width: int, height: int, fps: int) -> str:
        sizes.append((width, height, fps))
        return "h264_nvenc"

    monkeypatch.setattr(serve, "find_live_codec", find)
    world = make_world()
    assert serve.with_live_codec(world) is world
    assert sizes == []
    monkeypatch.setattr(World, "device", torch.device("meta"))
    assert serve.with_live_codec(world).codec == "h264_nvenc"
    assert sizes == [(WIDTH, HEIGHT, 24)]
