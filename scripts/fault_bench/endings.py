"""Faults that stop a server, each on one of its own."""

import signal
import time
import urllib.error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fault_bench.clients import victim
from fault_bench.disks import PART_CHUNKS
from fault_bench.faults import start_walking, wait_until
from fault_bench.server import FaultServer
from fault_bench.store_faults import two_servers_with_one_store
from fault_bench.walker import Walker

EXIT_FAILED = 70


def sigterm_in_mid_chunk(folder: Path, is_short: bool) -> str:
    """SIGTERM while two walk; one of them goes on on the next server."""
    server = FaultServer(folder)
    player, walker = start_walking(server, 60), begin_walk(server.url)
    began_s = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(walker.receive_type, "bye")
        code = server.stop(signal.SIGTERM)
    took_s = time.monotonic() - began_s
    player.join(5)
    if code != 0 or took_s > 10 or "Traceback" in server.log:
        return f"FAILED: exit code {code} after {took_s:.1f} s"
    return _go_on(folder, walker, f"exit code 0 after {took_s:.1f} s; one was told: {player.ended}", 0)


def sigkill_and_start_again(folder: Path, is_short: bool) -> str:
    """The server is killed while two walk; another one starts on the same machine."""
    server = FaultServer(folder)
    player, walker = start_walking(server, 60), begin_walk(server.url)
    server.stop(signal.SIGKILL)
    player.join(5)
    if player.is_alive():
        return "FAILED: a client did not notice"
    return _go_on(folder, walker, "killed", PART_CHUNKS)


def begin_walk(url: str) -> Walker:
    """Walk until something is saved."""
    walker = Walker(url)
    walker.connect()
    walker.start(seed=2)
    walker.walk(2.5)
    return walker


def _go_on(folder: Path, walker: Walker, said: str, most_lost: int) -> str:
    """Go on with a walk on another server, on which it may have lost so many chunks."""
    again, chunk = FaultServer(folder), walker.chunk
    walker.lose()
    went_on = walker.connect(again.url)
    walker.receive_type("media")
    again.stop()
    said = f"{said}; chunk {chunk}, and {walker.chunk} on the next server"
    return said if went_on and walker.chunk >= chunk - most_lost else f"FAILED: {said}, {went_on=}"


def sigstop(folder: Path, is_short: bool) -> str:
    """The server's process is stopped for a while and goes on."""
    server = FaultServer(folder, WORLDPLAY_STAGE_TIMEOUT_S="3")
    player = start_walking(server, 120)
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(4 if is_short else 60)  # longer than a stage may take
    server.process.send_signal(signal.SIGCONT)
    frames = player.visitor.num_frames
    goes_on = wait_until(lambda: player.visitor.num_frames > frames + 48 or not player.is_alive(), 30)
    alive = server.process.poll() is None and server.health()["live"]
    player.leave()
    server.stop()
    return (
        "the walk went on" if goes_on and alive and not player.ended else f"FAILED: {player.ended or alive}"
    )


def stage_that_hangs(folder: Path, is_short: bool) -> str:
    """A stage of the model never ends."""
    server = FaultServer(folder, WORLDPLAY_STAGE_TIMEOUT_S="3")
    server.plan_fault("step", "hang")
    with victim(server.url):
        noticed = wait_until(lambda: _status(server, "/live") == 503, 30)
        code = server.process.wait(40)
    server.stop()
    return f"noticed, exit code {code}" if noticed and code == EXIT_FAILED else f"FAILED: exit code {code}"


def _status(server: FaultServer, path: str) -> int:
    try:
        server.get(path)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
    return 200


ENDINGS: dict[str, Callable[[Path, bool], str]] = {
    "SIGTERM in mid-chunk": sigterm_in_mid_chunk,
    "SIGKILL of the server": sigkill_and_start_again,
    "SIGSTOP of the server": sigstop,
    "a stage that hangs": stage_that_hangs,
    "two servers with one store": two_servers_with_one_store,
}
