"""Faults of the disk and the clock. Then the server is killed, and another one goes on with the walk."""

import signal
from pathlib import Path

from fault_bench.faults import NOT_SAVED
from fault_bench.server import FaultServer
from fault_bench.waiting import wait_until
from fault_bench.walker import Walker

KEY = "the key of an owner"
PART_CHUNKS = 12  # at most: a walk is saved every two seconds, and this client plays faster than it is shown
A_DAY_S = 24 * 3600
SAVED = "worldplay_snapshots_saved_total"


def store_that_hangs(folder: Path, is_short: bool) -> str:
    """The disk answers nobody for a while."""
    return _break_disk(folder, "hang", 3.0 if is_short else 20.0)


def io_errors(folder: Path, is_short: bool) -> str:
    """Writing to the disk fails for a while."""
    return _break_disk(folder, "EIO", 3.0 if is_short else 20.0)


def _break_disk(folder: Path, error: str, seconds: float) -> str:
    server, walker = _begin(folder)
    server.break_disk(error)
    walker.walk(seconds)
    frames = walker.num_frames
    walker.walk(1.0)
    went_on = walker.num_frames > frames + 12
    num_saved = server.metric(SAVED)
    server.mend_disk()
    while server.metric(SAVED) < num_saved + 2:  # the first may have hung; failures make a pause
        walker.walk(0.5)
    told = NOT_SAVED in server.log
    return _go_on(server, walker, folder, f"{told=}") if went_on else "FAILED: the walk did not go on"


def torn_part(folder: Path, is_short: bool) -> str:
    """The newest part of a walk is cut in half when the server is killed."""
    server, walker = _begin(folder)
    walker.walk(3.0 if is_short else 30.0)
    server.stop(signal.SIGKILL)
    newest = max((server.store / walker.session).glob("*.safetensors"), key=lambda part: part.name)
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    return _go_on(server, walker, folder, newest.name, 2 * PART_CHUNKS)


def restart_on_a_read_only_disk(folder: Path, is_short: bool) -> str:
    """The server is killed, and another one starts where nothing can be written for a while."""
    server, walker = _begin(folder)
    server.stop(signal.SIGKILL)
    server.break_disk("EROFS")
    server = FaultServer(folder, WORLDPLAY_RECORDINGS="none")
    if not walker.connect(server.url):
        return "FAILED: the walk did not go on"
    walker.walk(3.0 if is_short else 20.0)
    server.mend_disk()
    while server.metric(SAVED) < 2:
        walker.walk(0.5)
    return _go_on(server, walker, folder, "it went on there, too")


def clock_jump_of_a_day(folder: Path, is_short: bool) -> str:
    """The clock jumps by a day, forwards and backwards, while somebody walks and has a bookmark."""
    server, walker = _begin(folder)
    kept = walker.bookmark(KEY)["snapshot"]
    for seconds in (A_DAY_S, -A_DAY_S):
        server.plan_fault("clock", str(seconds))
        if not wait_until(server.has_failed_as_planned, 5):
            return "FAILED: the clock did not jump"
        walker.walk(3.0 if is_short else 10.0)
    has_bookmark = (server.store / kept / "about.json").exists()
    if not has_bookmark:
        return "FAILED: a bookmark is gone"
    return _go_on(server, walker, folder, "in both directions")


def _begin(folder: Path) -> tuple[FaultServer, Walker]:
    """Walk on a new server until something is saved."""
    server = FaultServer(folder, WORLDPLAY_RECORDINGS="none")
    walker = Walker(server.url)
    walker.connect()
    walker.start(seed=2)
    walker.walk(2.5)
    return server, walker


def _go_on(server: FaultServer, walker: Walker, folder: Path, said: str, most_lost: int = PART_CHUNKS) -> str:
    """Kill the server, and go on with the walk on another one."""
    chunk = walker.chunk
    server.stop(signal.SIGKILL)
    again = FaultServer(folder, WORLDPLAY_RECORDINGS="none")
    went_on = walker.connect(again.url)
    walker.receive_type("media")
    code = again.stop()
    said = f"{said}; chunk {chunk}, and {walker.chunk} on the next server"
    is_whole = went_on and walker.chunk >= chunk - most_lost and code == 0
    is_whole = is_whole and "Traceback" not in server.log + again.log
    return said if is_whole else f"FAILED: {said}, {went_on=}, exit code {code}"
