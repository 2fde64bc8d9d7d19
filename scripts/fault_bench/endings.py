"""Faults that stop a server, each on one of its own."""

import signal
import time
import urllib.error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fault_bench import VICTIM_SEED
from fault_bench.clients import start_walking
from fault_bench.disks import PART_CHUNKS
from fault_bench.server import FaultServer
from fault_bench.store_faults import ClientProcess, two_servers_with_one_store
from fault_bench.waiting import wait_until
from fault_bench.walker import Walker

EXIT_FAILED = 70


def sigterm_in_mid_chunk(folder: Path, is_short: bool) -> str:
    """SIGTERM while two walk; one of them goes on on the next server."""
    server = FaultServer(folder)
    player, walker = start_walking(server.url, 60), begin_walk(server.url)
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
    player, walker = start_walking(server.url, 60), begin_walk(server.url)
    server.stop(signal.SIGKILL)
    player.join(5)
    if player.is_alive():
        return "FAILED: a client did not notice"
    return _go_on(folder, walker, "killed", PART_CHUNKS)


def begin_walk(url: str, seed: int = 2) -> Walker:
    """Walk until something is saved."""
    walker = Walker(url)
    walker.connect()
    walker.start(seed=seed)
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
    """The server's process is stopped for a while and goes on. Clients may give it up meanwhile."""
    server = FaultServer(folder, WORLDPLAY_STAGE_TIMEOUT_S="3")
    seconds = 4.0 if is_short else 60.0  # longer than a stage may take
    with ClientProcess(server) as client:
        began = wait_until(lambda: client.num_frames > 20, 20)
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        frames = client.num_frames
        server.process.send_signal(signal.SIGCONT)
        began_s = time.monotonic()
        goes_on = began and wait_until(lambda: client.num_frames > frames + 48, 40)
        took_s, is_lost = time.monotonic() - began_s, client.is_lost
    code = server.stop()
    if not goes_on or is_lost or code != 0 or "Traceback" in server.log:
        return f"FAILED: {goes_on=}, {is_lost=}, exit code {code}"
    return f"the walk went on: 48 frames {took_s:.1f} s after {seconds:.0f} s"


def stage_that_hangs(folder: Path, is_short: bool) -> str:
    """A stage of the model never ends, so the server ends. The walk goes on on the next one."""
    server = FaultServer(folder, WORLDPLAY_STAGE_TIMEOUT_S="3")
    walker = begin_walk(server.url, VICTIM_SEED)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(walker.receive_type, "bye")  # it walks on, or there may be no other step
        server.plan_fault("step", "hang")
        noticed = wait_until(lambda: _status(server, "/live") == 503, 60)
        code = server.process.wait(60) if noticed else server.stop(signal.SIGKILL)
    if not noticed or code != EXIT_FAILED:
        return f"FAILED: {noticed=}, exit code {code}"
    said = f"noticed, exit code {code}"
    return said if is_short else _go_on(folder, walker, said, PART_CHUNKS)


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
