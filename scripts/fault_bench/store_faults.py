"""Faults of the store, and clients that come back: nobody's walk is lost."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from fault_bench import VICTIM_SEED
from fault_bench.faults import Bench, fault
from fault_bench.server import RESUME_S, SCRIPTS, FaultServer
from fault_bench.waiting import wait_until
from fault_bench.walker import Walker

KEY = "the key of an owner"
AFTER_END_S = RESUME_S + 1.0  # then a walk whose client is away is no longer in memory


@fault
def walks_that_cannot_be_saved(bench: Bench) -> str:
    """The disk is full for a while, and a client loses its connection meanwhile."""
    walker, num_logged = Walker(bench.server.url), len(bench.server.log)
    walker.connect()
    walker.start(seed=2)
    walker.walk(1.0)
    bench.server.break_disk("ENOSPC")
    walker.walk(bench.choose(2, 30))
    answer = walker.bookmark(KEY)
    walker.lose()
    if answer.get("code") != "bad_request" or not walker.connect():
        return f"FAILED: a bookmark was answered by {answer}, and the walk did not go on"
    walker.walk(0.5)
    bench.server.mend_disk()
    walker.walk(0.5)
    chunk = walker.chunk
    walker.lose()
    time.sleep(AFTER_END_S)
    if not walker.connect():
        return "FAILED: the walk was not saved afterwards"
    walker.walk(0.5)
    walker.stop()
    if walker.chunk < chunk:
        return f"FAILED: the walk was at chunk {chunk} and went on at {walker.chunk}"
    _, error, told = bench.server.log[num_logged:].partition("Traceback")
    if error:
        return f"FAILED: the server logged{told[told.rfind('File') :]!r}"
    return "the walk went on, and was saved afterwards"


@fault
def walks_that_fail(bench: Bench) -> str:
    """Each stage of a walk fails after a while, by an error and for want of memory. Its client comes back."""
    stages = ("encode",) if bench.is_short else ("context", "step", "decode", "encode", "prompt")
    tried = [(stage, error) for stage in stages for error in ("RuntimeError", "MemoryError")]
    lost = [said for stage, error in tried if (said := _fail(bench.server, stage, error))]
    return f"FAILED: {'; '.join(lost)}" if lost else f"{len(tried)} walks went on"


def _fail(server: FaultServer, stage: str, error: str) -> str:
    """Let a stage of a walk fail. Returns: what was lost; empty if the walk goes on."""
    walker = Walker(server.url)
    walker.connect()
    walker.start(seed=VICTIM_SEED)
    walker.walk(0.5)
    server.plan_fault(stage, error)
    walker.send("prompt", text="night")
    walker.receive_type("error")
    chunk = walker.chunk
    went_on = walker.connect()
    walker.receive_type("media")
    walker.stop()
    is_whole = went_on and walker.chunk >= chunk
    return "" if is_whole else f"{error} at {stage}: chunks {chunk} and {walker.chunk}, {went_on=}"


@fault
def damaged_walks(bench: Bench) -> str:
    """Files of walks in the store are damaged in several ways."""
    ways = [b"", bytes(100), None, b'{"a": 1}']
    walker = Walker(bench.server.url)
    walker.connect()
    walker.start(seed=2)
    walker.walk(0.5)
    for way in ways:
        kept = walker.bookmark(KEY)["snapshot"]
        _damage(bench.server.store / kept, way)
        answer = walker.start(snapshot=kept)
        if answer.get("code") != "bad_request":
            return f"FAILED: a damaged walk was answered by {answer}"
    walker.lose()
    time.sleep(AFTER_END_S)
    _damage(bench.server.store / walker.session, None)
    if walker.connect():
        return "FAILED: a damaged walk went on"
    walker.lose()
    return f"{len(ways)} ways; refused, and a new walk begun"


def _damage(folder: Path, data: bytes | None) -> None:
    """Replace each part of a walk by these bytes; None: cut off the last one of it."""
    for part in folder.glob("*.safetensors"):
        part.write_bytes(part.read_bytes()[:-1] if data is None else data)


@fault
def sigstop_of_a_client(bench: Bench) -> str:
    """A client's process is stopped for a while and goes on."""
    with ClientProcess(bench.server) as client:
        began = wait_until(lambda: client.num_frames > 20, 20)
        client.process.send_signal(signal.SIGSTOP)
        time.sleep(bench.choose(2, 60))
        client.process.send_signal(signal.SIGCONT)
        before = client.num_frames
        goes_on = began and wait_until(lambda: client.num_frames > before + 48, 20)
        is_lost = client.is_lost
    return "its walk went on" if goes_on and not is_lost else f"FAILED: {goes_on=}, {is_lost=}"


class ClientProcess:
    """A process that walks, and comes back whenever it loses its connection."""

    def __init__(self, server: FaultServer) -> None:
        self._said = server.store.parent / "walker"
        with self._said.open("wb") as out:
            command = [sys.executable, "-m", "fault_bench.walker", server.url]
            self.process = subprocess.Popen(command, stdout=out, cwd=SCRIPTS)

    def __enter__(self) -> "ClientProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def num_frames(self) -> int:
        return max([int(line) for line in self._said.read_text().split() if line.isdecimal()], default=0)

    @property
    def is_lost(self) -> bool:
        """Return whether it had to begin another walk."""
        return "lost" in self._said.read_text()


def two_servers_with_one_store(folder: Path, is_short: bool) -> str:
    """A walk is resumed on another server, and then on the first one again, while both run."""
    one, other = FaultServer(folder), FaultServer(folder)
    walker = Walker(one.url)
    walker.connect()
    walker.start(seed=2)
    walker.walk(2.5)
    walker.lose()
    went_over = walker.connect(other.url)
    walker.walk(2.5)
    chunk = walker.chunk
    back = walker.copy()
    went_back = back.connect(one.url)  # which still has the walk in memory, as it was
    back.walk(1.0)
    told = _find_end(walker)
    back.lose()
    time.sleep(AFTER_END_S)
    whole = back.connect(other.url)
    back.walk(0.5)
    log = one.log + other.log
    codes = [server.stop() for server in (one, other)]
    if not (went_over and went_back and whole and told == "taken_over" and back.chunk >= chunk - 3):
        return f"FAILED: {went_over=}, {went_back=}, {whole=}, {told=}, chunks {chunk} and {back.chunk}"
    if codes != [0, 0] or "Traceback" in log:
        return f"FAILED: exit codes {codes}"
    return "the walk went on each time, and the earlier connection was told"


def _find_end(walker: Walker) -> str:
    """Return the code of the error that ends a connection."""
    return str(walker.receive_type("error")["code"])
