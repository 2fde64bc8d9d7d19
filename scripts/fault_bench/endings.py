"""Faults that stop a server, each on one of its own."""

import signal
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

from fault_bench.clients import victim
from fault_bench.faults import start_walking, wait_until
from fault_bench.server import FaultServer
from fault_bench.store_faults import two_servers_with_one_store

EXIT_FAILED = 70


def sigterm_in_mid_chunk(folder: Path, is_short: bool) -> str:
    """SIGTERM while somebody walks."""
    server = FaultServer(folder)
    player = start_walking(server, 60)
    began_s = time.monotonic()
    code = server.stop(signal.SIGTERM)
    took_s = time.monotonic() - began_s
    player.join(5)
    if code != 0 or took_s > 10 or "Traceback" in server.log:
        return f"FAILED: exit code {code} after {took_s:.1f} s"
    return f"exit code 0 after {took_s:.1f} s; the walker: {player.ended}"


def sigkill_and_start_again(folder: Path, is_short: bool) -> str:
    """The server is killed; another one starts on the same machine."""
    server = FaultServer(folder)
    player = start_walking(server, 60)
    server.stop(signal.SIGKILL)
    player.join(5)
    again = FaultServer(folder)
    ready = again.health()["ready"]
    again.stop()
    return "ready again" if ready and not player.is_alive() else "FAILED: not ready again"


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
