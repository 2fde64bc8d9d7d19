"""Long proofs: many clients at once, and many that end one after the other."""

import random
import socket
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from threading import Thread

from websockets.frames import Opcode

from fault_bench.browsers import sigstop_of_a_browser
from fault_bench.clients import connect, frame, message, send, upgrade
from fault_bench.comebacks import resume_times, rewind_times
from fault_bench.disks import (
    clock_jump_of_a_day,
    io_errors,
    restart_on_a_read_only_disk,
    store_that_hangs,
    torn_part,
)
from fault_bench.faults import HELLO, START
from fault_bench.keeping import places_after_a_kill, walks_begun_and_dropped
from fault_bench.server import FaultServer, Usage
from fault_bench.waiting import wait_until
from worldplay.client.visit import Visit

MOST_MORE_MB = 20.0
LEAST_IN_TIME = 0.99
AT_ONCE_S = 1.0
MEMORY_S = 65.0  # until the server has returned what sessions freed
HALF_OPEN_S = 60.0  # until the server must have noticed that nobody is there


def fifty_clients_of_whom_two_walk(folder: Path, is_short: bool) -> str:
    """Many clients are connected, and walk one after the other: are frames in time, and the order kept?"""
    count, seconds = (6, 2.0) if is_short else (50, 10.0)
    server = FaultServer(folder, WORLDPLAY_MAX_QUEUED="60")
    visits = [Visit(seed=number, patience_s=900) for number in range(count)]
    threads = [Thread(target=visit.walk, args=(server.url, seconds), daemon=True) for visit in visits]
    for visit, thread in zip(visits, threads, strict=True):
        thread.start()
        wait_until(lambda visit=visit: bool(visit.queued or visit.opened_s), 30)  # type: ignore[misc]  # a default in a lambda
    for thread in threads:
        thread.join(900)
    server.stop()
    opened = [visit.opened_s for visit in visits if visit.opened_s is not None]
    frames, late = sum(v.num_frames for v in visits), sum(v.player.num_late for v in visits)
    in_time = 1 - late / max(1, frames)
    took_ms = statistics.quantiles([chunk.model_ms for v in visits for chunk in v.chunks], n=20)
    said = f"{count} clients, {frames} frames, {in_time:.2%} of them in time"
    said += f"; a chunk took {took_ms[9]:.0f} ms, 95 % at most {took_ms[18]:.0f}"
    # Two slots may become free at once; then it does not matter whose `init` is read first.
    passed_s = max((earlier - later for earlier, later in combinations(opened, 2)), default=0.0)
    if len(opened) < count or passed_s > AT_ONCE_S:
        return f"FAILED: {len(opened)} of {said}; one was passed by {passed_s:.1f} s"
    is_kept = in_time >= LEAST_IN_TIME or is_short
    return f"{said}, in the order of arrival" if is_kept else f"FAILED: {said}"


def a_thousand_endings(folder: Path, is_short: bool) -> str:
    """Connections end at random moments of their life: closed, reset, or half open."""
    server = FaultServer(folder, WORLDPLAY_MAX_PER_ADDRESS="600")
    chance, count = random.Random(0), 60 if is_short else 1000
    before = _end_many(server, chance, 20 if is_short else 100)  # what the first ones take is taken once
    after = _end_many(server, chance, count)
    more_mb = after.resident_mb - before.resident_mb
    said = f"{count} endings, {more_mb:+.1f} MB"
    left = _find_left(server, before, after)
    server.stop()
    if left or "Traceback" in server.log or (more_mb > MOST_MORE_MB and not is_short):
        return f"FAILED: {said}; {left}"
    return f"{said}; no thread, task, descriptor, file, connection or session was left"


def _end_many(server: FaultServer, chance: random.Random, count: int) -> Usage:
    """End connections, and wait until the server has noticed. Returns: what it uses then."""
    half_open: list[socket.socket] = []
    for _ in range(count):
        opened = _live(server.address, chance)
        match chance.randrange(3):
            case 0:
                opened.close()
            case 1:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                opened.close()
            case _:
                half_open.append(opened)  # it neither reads nor answers any more
    wait_until(lambda: _count_connections(server) <= 1, HALF_OPEN_S)
    for opened in half_open:
        opened.close()
    time.sleep(MEMORY_S)
    return server.usage()


def _live(address: str, chance: random.Random) -> socket.socket:
    """Open a connection, and do some of what a client does."""
    age = chance.randrange(6)
    if age == 0:
        return connect(address)
    opened = upgrade(address)
    steps = [b"", HELLO, HELLO + START, HELLO + START, HELLO + frame(Opcode.BINARY, b"x", fin=False)]
    send(opened, steps[age - 1])
    if age == 4:
        send(opened, message("playhead", shown=0.0, buffered=0.0, stalled=0, hidden=False))
        opened.settimeout(chance.random())
        with suppress(TimeoutError):  # without a slot nothing comes
            opened.recv(65536)
    return opened


def _count_connections(server: FaultServer) -> int:
    return int(server.metric("worldplay_connections"))


def _find_left(server: FaultServer, before: Usage, after: Usage) -> str:
    sessions, connections = server.health()["sessions"], _count_connections(server)
    left = {
        "connections": connections - 1,  # the one that asks
        "sessions": sessions["active"] + sessions["queued"],
        "descriptors": max(0, after.files - before.files),
        "threads": max(0, after.threads - before.threads),
        "tasks": max(0, after.tasks - before.tasks),
        "unfinished files": len(list(server.store.parent.rglob("*.part"))),
    }
    return ", ".join(f"{number} {what}" for what, number in left.items() if number > 0)


PROOFS: dict[str, Callable[[Path, bool], str]] = {
    "fifty clients of whom two walk": fifty_clients_of_whom_two_walk,
    "a thousand endings": a_thousand_endings,
    "how soon a resume": resume_times,
    "how soon a rewind": rewind_times,
    "SIGSTOP of a browser": sigstop_of_a_browser,
    "walks begun and dropped": walks_begun_and_dropped,
    "places after a SIGKILL": places_after_a_kill,
    "a store that hangs": store_that_hangs,
    "a disk with EIO": io_errors,
    "a torn part": torn_part,
    "a restart on a read-only disk": restart_on_a_read_only_disk,
    "a clock jump of a day": clock_jump_of_a_day,
}
