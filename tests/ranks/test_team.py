"""Ranks that end: all of them end with one sentence, and nothing stays behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.paths import ENVIRONMENT, run_python
from support.raw_client import RawClient

pytestmark = pytest.mark.slow

SERVE = ("serve", "--gpus", "2", "--device", "cpu", "--max-sessions", "1", "--port")


def lead_in(folder: Path, make: str, work: str) -> subprocess.CompletedProcess[str]:
    """Lead two ranks in a process of its own."""
    script = (
        "from support import ranks\n"
        "from worldplay.ranks.team import lead\n"
        f"with lead(2, 'cpu', ranks.{make}) as leader:\n"
        f"    {work}\n"
    )
    return run_python("-c", script, check=False, TMPDIR=str(folder))


@pytest.mark.parametrize(
    ("make", "work", "reason"),
    [
        ("run_out_of_memory", "import time; time.sleep(50)", "rank 1 of 2 ran out of memory; take a smaller"),
        ("make_nothing", "with leader.together('fly'): import time; time.sleep(50)", "KeyError: 'fly'"),
        ("make_nothing", "with leader.together('fly'): raise MemoryError", "rank 0 of 2 ran out of memory"),
    ],
)
def test_rank_that_fails_ends_all(tmp_path: Path, make: str, work: str, reason: str) -> None:
    done = lead_in(tmp_path, make, work)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("worldplay: rank ")
    assert reason in sentence
    assert_left_nothing(tmp_path)


def assert_left_nothing(folder: Path) -> None:
    wait_until(lambda: not list(folder.glob("worldplay-ranks-*")))


def wait_until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def serving_two(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", int, str]]:
    """Serve on two ranks. Yields: rank 0, the other one's process id, and host and port."""
    command = [sys.executable, "-m", "worldplay", *SERVE, "0"]
    environment = {**ENVIRONMENT, "TMPDIR": str(folder)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            address = next(line for line in server.stderr if "ready, visitors" in line).rpartition("//")[2]
            assert any("startup complete" in line for line in server.stderr)
            yield server, find_follower(server.pid), address.strip()
        finally:
            server.kill()


def find_follower(parent: int) -> int:
    """Find the child of a process that multiprocessing has spawned."""
    for folder in Path("/proc").glob("[0-9]*"):
        if state_of(int(folder.name))[1:2] == [str(parent)] and b"spawn_main" in read(folder / "cmdline"):
            return int(folder.name)
    raise AssertionError("no follower")


def state_of(process: int) -> list[str]:
    """Return the state of a process, the id of its parent, and so on; nothing if it has ended."""
    return read(Path("/proc", str(process), "stat")).rpartition(b")")[2].decode().split()


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def is_running(process: int) -> bool:
    return state_of(process)[:1] not in ([], ["Z"])


def test_visitor_walks_on_two_ranks_until_one_is_killed(tmp_path: Path) -> None:
    with serving_two(tmp_path) as (server, follower, address):
        with RawClient(f"ws://{address}/ws") as client:
            client.hello()
            client.start(seed=1)
            client.press(["w"])
            messages = client.collect(lambda message: message["type"] == "chunk" and message["index"] == 2)
            client.send("prompt", text="A courtyard at night")
            client.collect(lambda message: message["type"] == "state" and message["what"] == "prompt")
            os.kill(follower, signal.SIGKILL)
            assert server.wait(10.0) == 1
        assert sum(message["type"] == "media" for message in messages) >= 29
        assert server.stderr is not None
        said = [line for line in server.stderr if "worldplay: " in line]
        assert said == ["worldplay: rank 1 of 2 was killed by SIGKILL; the others cannot go on without it\n"]
    assert_left_nothing(tmp_path)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_other_ranks_end_with_rank_0(tmp_path: Path, how: signal.Signals) -> None:
    with serving_two(tmp_path) as (server, follower, _):
        os.kill(server.pid, how)
        if how == signal.SIGTERM:  # as service managers do
            os.kill(follower, how)
        assert server.wait(10.0) == (0 if how == signal.SIGTERM else -how)
        wait_until(lambda: not is_running(follower))
    assert_left_nothing(tmp_path)


def test_clip_is_rendered_on_two_ranks(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    options = ("--gpus", "2", "--device", "cpu", "--frames", "13", "--seed", "1", "--out", str(clip))
    run_python("-m", "worldplay", "render", *options, TMPDIR=str(tmp_path))
    assert clip.stat().st_size > 10_000
    assert_left_nothing(tmp_path)


def test_port_that_is_taken_is_told_before_ranks_are_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_python("-m", "worldplay", *SERVE, str(taken.getsockname()[1]), check=False)
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert "cannot listen on 127.0.0.1" in sentence
