"""Long proofs of the store: strangers take neither the room nor the places of those who walk."""

import signal
from pathlib import Path

from fault_bench.server import FaultServer
from fault_bench.walker import Walker

MOST_LOST = 4  # chunks: a walk is saved every two seconds


def walks_begun_and_dropped(folder: Path, is_short: bool) -> str:
    """Strangers begin many walks and drop them, until the store is full. Then the server is killed."""
    count = 20 if is_short else 60  # each leaves some 50 KB
    server = FaultServer(folder, WORLDPLAY_STORE_MB="1")
    walker = Walker(server.url)
    walker.connect()
    walker.start(seed=2)
    walker.walk(3.0)
    walker.send("pause")
    for number in range(count):
        stranger = Walker(server.url)
        stranger.connect()
        stranger.start(seed=number)
        stranger.walk(0.0)
        stranger.lose()
    walker.send("resume")
    walker.walk(6.0)
    chunk = walker.chunk
    num_walks = len(list(server.store.glob("*/about.json")))
    server.stop(signal.SIGKILL)
    again = FaultServer(folder, WORLDPLAY_STORE_MB="1")
    went_on = walker.connect(again.url)
    walker.receive_type("media")
    again.stop()
    said = f"{count} walks were dropped, {num_walks} were in the store; chunk {chunk} and then {walker.chunk}"
    is_whole = went_on and walker.chunk >= chunk - MOST_LOST
    return said if is_whole and "Traceback" not in server.log + again.log else f"FAILED: {said}"


def places_after_a_kill(folder: Path, is_short: bool) -> str:
    """The server is killed while two walk. Newcomers start on the next one before these are back."""
    server = FaultServer(folder)
    walkers, newcomers = [Walker(server.url) for _ in range(2)], []
    for walker in walkers:
        walker.connect()
        walker.start(seed=2)
    for walker in walkers * 3:
        walker.walk(0.7)
    server.stop(signal.SIGKILL)
    again = FaultServer(folder, WORLDPLAY_RESUME_S="60")
    for number in range(1 if is_short else 4):
        newcomers.append(Walker(again.url))
        newcomers[-1].connect()
        newcomers[-1].send("start", seed=number)
    told = [newcomer.receive_type("queued", "init")["type"] for newcomer in newcomers]
    went_on = [walker.connect(again.url) for walker in walkers]
    found = [walker.receive_type("media", "queued")["type"] for walker in walkers]
    if went_on != [True, True] or found != ["media", "media"] or set(told) != {"queued"}:
        again.stop()
        return f"FAILED: {went_on=}, {found=}, {told=}"
    for walker in walkers:
        walker.stop()
    served = [newcomer.receive_type("init")["type"] for newcomer in newcomers[:2]]
    again.stop()
    return f"both went on, {len(newcomers)} newcomers waited, and {len(served)} walked afterwards"
