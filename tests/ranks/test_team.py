"""Ranks that end: all of them end with one sentence, and nothing stays behind."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore

from support import ranks
from support.forked import start_forked
from support.paths import ENVIRONMENT, run_python
from support.raw_client import RawClient
from support.waiting import wait_until
from worldplay.cli import main
from worldplay.model.kv_cache import TextKV
from worldplay.ranks import team
from worldplay.ranks.failure import STUCK, Failure, MeetingError
from worldplay.ranks.leader import Leader
from worldplay.ranks.orders import MakeModules
from worldplay.ranks.team import _Team, lead
from worldplay.ranks.waiting import Waiting

pytestmark = pytest.mark.slow

LEADING = """
import signal, sys, time
from support import ranks
from worldplay.ranks.team import lead
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests may ignore it
    try:
        with lead(2, "cpu", ranks.{make}):
            time.sleep(100)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\\n")
"""
SERVE = ("serve", "--gpus", "2", "--device", "cpu", "--max-sessions", "1", "--port")


def do_nothing(leader: Leader) -> None:
    time.sleep(50)


def ask_for_what_nobody_can(leader: Leader) -> None:
    with leader.together("fly"):
        time.sleep(50)


def fail_together(leader: Leader) -> None:
    with leader.together("fly"):
        raise MemoryError


def lead_two(make: MakeModules, work: Callable[[Leader], None]) -> None:
    with lead(2, "cpu", make) as leader:
        work(leader)


@pytest.mark.parametrize(
    ("make", "work", "reason"),
    [
        (ranks.run_out_of_memory, do_nothing, "rank 1 of 2 ran out of memory; take a smaller"),
        (ranks.make_nothing, ask_for_what_nobody_can, "KeyError: 'fly'"),
        (ranks.make_nothing, fail_together, "rank 0 of 2 ran out of memory"),
    ],
)
def test_rank_that_fails_ends_all(
    tmp_path: Path, make: MakeModules, work: Callable[[Leader], None], reason: str
) -> None:
    said = tmp_path / "said"
    process = start_forked(lead_two, make, work, said=said, environment=environment(tmp_path))
    process.join(60)
    assert process.exitcode == 1
    text = said.read_text()
    assert len(text.splitlines()) == 1, text
    assert text.startswith("worldplay: rank ")
    assert reason in text
    assert_left_nothing(tmp_path)


def lead_two_and_look_often(make: MakeModules, work: Callable[[Leader], None]) -> None:
    team.TICK_S = 0.05
    lead_two(make, work)


def test_rank_that_is_stopped_while_it_loads_ends_all_and_does_not_stay(tmp_path: Path) -> None:
    said = tmp_path / "said"
    process = start_forked(
        lead_two_and_look_often, ranks.stop, do_nothing, said=said, environment=environment(tmp_path)
    )
    assert process.pid is not None
    wait_until(lambda: is_stopped(process))
    follower = find_follower(process.pid)
    process.join(10)
    assert process.exitcode == 1
    assert said.read_text() == (
        "worldplay: rank 1 of 2 was stopped by a signal; the others cannot go on without it\n"
    )
    wait_until(lambda: not is_running(follower))
    assert_left_nothing(tmp_path)


def lead_two_of_which_one_hangs() -> None:
    """The other one is stopped, but its state is not looked at for long enough to find that."""
    team.TICK_S = 0.05
    with lead(2, "cpu", ranks.make_nothing, 0.15) as leader:
        keys = [torch.zeros(1, 2, 4096, 64)]
        leader.share_text(TextKV(keys, keys))
        (other,) = multiprocessing.active_children()
        assert other.pid is not None
        os.kill(other.pid, signal.SIGSTOP)
        for _ in range(1000):
            leader.share_text(TextKV(keys, keys))


def test_rank_that_hangs_ends_all(tmp_path: Path) -> None:
    said = tmp_path / "said"
    process = start_forked(lead_two_of_which_one_hangs, said=said, environment=environment(tmp_path))
    process.join(60)
    assert process.exitcode == 1
    assert said.read_text() == (
        "worldplay: rank 0 of 2 waited in vain for the others, one of which hangs; "
        "WORLDPLAY_RANK_TIMEOUT_S says for how long\n"
    )
    assert_left_nothing(tmp_path)


def is_stopped(leader: BaseProcess) -> bool:
    """Return whether there is another rank, and it is stopped."""
    assert leader.pid is not None
    try:
        return state_of(find_follower(leader.pid))[0] == "T"
    except (AssertionError, IndexError):
        return False


@pytest.mark.parametrize("error", [ValueError("a bad shape"), OSError("a pipe")])
def test_error_while_serving_is_no_fault_of_the_operator(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    ends: list[tuple[int, Failure]] = []
    monkeypatch.setattr(team, "sleep", lambda seconds: None)
    monkeypatch.setattr(_Team, "_exit", lambda _, rank, failure: ends.append((rank, failure)))
    alone = _Team(1, "cpu", Waiting())
    with pytest.raises(type(error)):
        alone.fail(error)
    alone.close()
    ((rank, failure),) = ends
    assert (rank, failure.code) == (0, 1)
    assert failure.reason == f"failed: {type(error).__name__}: {error}"


def test_rank_0_that_cannot_leave_nccl_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[Failure] = []
    monkeypatch.setattr(_Team, "_exit", lambda _, rank, failure: ends.append(failure))
    for left in (True, False):
        monkeypatch.setattr(team, "leave_group", lambda left=left: left)
        _Team(1, "cpu", Waiting()).close()
    assert ends == [STUCK]


def environment(folder: Path) -> dict[str, str]:
    return {**ENVIRONMENT, "TMPDIR": str(folder)}


def assert_left_nothing(folder: Path) -> None:
    wait_until(lambda: not list(folder.glob("worldplay-ranks-*")))


def serve_two(model: str) -> None:
    sys.argv = ["worldplay", *SERVE, "0", "--model", model]
    main()


@contextmanager
def serving_two(folder: Path, model: str) -> Iterator[tuple[BaseProcess, int, str]]:
    """Serve on two ranks. Yields: rank 0, the other one's process id, and host and port."""
    said = folder / "said"
    server = start_forked(serve_two, model, said=said, environment=environment(folder))
    try:
        wait_until(lambda: "startup complete" in said.read_text())
        (ready,) = [line for line in said.read_text().splitlines() if "ready, visitors" in line]
        assert server.pid is not None
        yield server, find_follower(server.pid), ready.rpartition("//")[2]
    finally:
        server.kill()
        server.join()


def find_follower(server: int) -> int:
    """Find the other process that was forked from the same one."""
    parent = state_of(server)[1]
    for folder in Path("/proc").glob("[0-9]*"):
        process = int(folder.name)
        if process != server and is_running(process) and state_of(process)[1] == parent:
            return process
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


def test_visitor_walks_on_two_ranks_until_one_is_killed(tmp_path: Path, tiny_model: str) -> None:
    with serving_two(tmp_path, tiny_model) as (server, follower, address):
        with RawClient(f"ws://{address}/ws") as client:
            client.hello()
            client.start(seed=1)
            client.press(["w"])
            messages = client.collect(lambda message: message["type"] == "chunk" and message["index"] == 2)
            client.send("prompt", text="A courtyard at night")
            client.collect(lambda message: message["type"] == "state" and message["what"] == "prompt")
            os.kill(follower, signal.SIGKILL)
            assert wait_ended(server) == 1
        assert sum(message["type"] == "media" for message in messages) >= 29
        said = [line for line in (tmp_path / "said").read_text().splitlines() if "worldplay: " in line]
        assert said == ["worldplay: rank 1 of 2 was killed by SIGKILL; the others cannot go on without it"]
    assert_left_nothing(tmp_path)


def wait_ended(process: BaseProcess) -> int | None:
    process.join(10.0)  # promised: a rank that dies ends the others within this
    return process.exitcode


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_other_ranks_end_with_rank_0(tmp_path: Path, tiny_model: str, how: signal.Signals) -> None:
    with serving_two(tmp_path, tiny_model) as (server, follower, _):
        assert server.pid is not None
        os.kill(server.pid, how)
        if how == signal.SIGTERM:  # as service managers do
            os.kill(follower, how)
        assert wait_ended(server) == (0 if how == signal.SIGTERM else -how)
        wait_until(lambda: not is_running(follower))
    assert_left_nothing(tmp_path)


@contextmanager
def leading_anew(folder: Path, make: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Lead two ranks that really start anew. Yields: rank 0, and the other one's process id."""
    script = folder / "leading.py"
    script.write_text(LEADING.format(make=make))
    command = [sys.executable, str(script)]
    with subprocess.Popen(
        command, env=environment(folder), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as leader:
        try:
            wait_until(lambda: bool(children_of(leader.pid)))
            yield leader, children_of(leader.pid)[-1]
        finally:
            leader.kill()


def children_of(parent: int) -> list[int]:
    """List the processes of a parent that run Python's `spawn_main`."""
    children = map(int, read(Path(f"/proc/{parent}/task/{parent}/children")).split())
    return [child for child in children if b"spawn_main" in read(Path(f"/proc/{child}/cmdline"))]


def test_interrupt_while_a_rank_imports_is_rank_0s_alone(tmp_path: Path) -> None:
    with leading_anew(tmp_path, "make_nothing") as (leader, follower):
        os.killpg(leader.pid, signal.SIGINT)
        assert leader.stderr is not None
        assert leader.stderr.read() == "interrupted\n"
        assert leader.wait(60) == 0
        wait_until(lambda: not is_running(follower))
    assert_left_nothing(tmp_path)


def leave_and_be_interrupted(kind: str, rank: int, size: int, meeting: str) -> None:
    dist.init_process_group("gloo", store=FileStore(meeting, size), rank=rank, world_size=size)
    dist.destroy_process_group()
    time.sleep(1)  # for which the other rank could tell that its connection was closed
    raise KeyboardInterrupt


def see_the_other_die(kind: str, rank: int, size: int, meeting: str) -> None:
    (other,) = multiprocessing.active_children()
    other.kill()
    raise MeetingError("Connection closed by peer")


def lead_two_that_meet(meet: Callable[[str, int, int, str], None]) -> None:
    pytest.MonkeyPatch().setattr(team, "join_group", meet)
    try:
        lead_two(ranks.make_nothing, do_nothing)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")


@pytest.mark.parametrize(
    ("meet", "told", "code"),
    [
        (leave_and_be_interrupted, "interrupted\n", 0),
        (
            see_the_other_die,
            "worldplay: rank 1 of 2 was killed by SIGKILL; the others cannot go on without it\n",
            1,
        ),
    ],
)
def test_end_of_a_rank_while_they_meet_is_no_failure_of_the_others(
    tmp_path: Path, meet: Callable[[str, int, int, str], None], told: str, code: int
) -> None:
    said = tmp_path / "said"
    process = start_forked(lead_two_that_meet, meet, said=said, environment=environment(tmp_path))
    process.join(60)
    assert (said.read_text(), process.exitcode) == (told, code)
    assert_left_nothing(tmp_path)


def test_rank_that_is_stopped_does_not_outlive_rank_0(tmp_path: Path) -> None:
    with leading_anew(tmp_path, "stop") as (leader, follower):
        wait_until(lambda: state_of(follower)[0] == "T")
        leader.kill()
        leader.wait(60)
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
