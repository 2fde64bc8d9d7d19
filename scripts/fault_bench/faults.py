"""The faults. Each does one thing to a server on which somebody else walks, and says what became of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import msgpack
from websockets.frames import Opcode
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as ws_connect

from fault_bench.clients import connect, frame, message, send, upgrade, victim
from fault_bench.server import SCRIPTS, FaultServer
from fault_bench.waiting import wait_until

HELLO, START = message("hello", protocol=1), message("start", seed=2)
NOT_SAVED = "a walk could not be saved"  # in the log
POSE = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@dataclass(frozen=True, slots=True)
class Bench:
    """A server, and how thorough to be."""

    server: FaultServer
    is_short: bool

    def choose(self, short: int, full: int) -> int:
        return short if self.is_short else full


Fault = Callable[[Bench], str]
FAULTS: dict[str, Fault] = {}


def fault(does: Fault) -> Fault:
    """Add a function to the list, under its name."""
    FAULTS[does.__name__.replace("_", " ")] = does
    return does


@contextmanager
def many(opened: list[socket.socket]) -> Iterator[list[socket.socket]]:
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


@fault
def kill_client(bench: Bench) -> str:
    """A client's process is killed in the middle of its walk."""
    lines = "import sys; from worldplay.client.visit import Visit; Visit(seed=2).walk(sys.argv[1], 60)"
    command = [sys.executable, "-c", lines, bench.server.url]
    paths = os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent / "server")])
    client = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})
    began = wait_until(lambda: bench.server.health()["sessions"]["active"] == 2, 20)
    client.send_signal(signal.SIGKILL)
    client.wait()
    gone = wait_until(lambda: bench.server.health()["sessions"]["active"] == 1, 10)
    return "its slot was free again" if began and gone else "FAILED: its slot stayed taken"


@fault
def connections_that_end_at_once(bench: Bench) -> str:
    """Hundreds of connections end at different moments of their life, a third of them by reset."""
    steps = [b"", HELLO, HELLO + START, frame(Opcode.BINARY, b"x", fin=False)]
    count = bench.choose(120, 1000)
    for number in range(count):
        connection = upgrade(bench.server.address)
        send(connection, steps[number % len(steps)])
        if number % 3 == 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    return f"{count} connections"


@fault
def half_open_and_never_reading(bench: Bench) -> str:
    """Clients start walks, and then neither read nor answer."""
    with many([upgrade(bench.server.address, receive_bytes=4096) for _ in range(4)]) as silent:
        for each in silent:
            send(each, HELLO + START + message("playhead", shown=0.0, buffered=0.0, stalled=0, hidden=False))
        time.sleep(bench.choose(4, 45))
    return "4 clients"


@fault
def one_byte_a_second(bench: Bench) -> str:
    """A client reads its video at one byte a second."""
    with many([upgrade(bench.server.address, receive_bytes=4096)]) as (slow,):
        send(slow, HELLO + START)
        for _ in range(bench.choose(3, 40)):
            slow.recv(1)
            time.sleep(1)
    return "1 client"


@fault
def garbage(bench: Bench) -> str:
    """Random bytes, as HTTP and as WebSocket frames and messages."""
    count = bench.choose(60, 600)
    for number in range(count):
        data = os.urandom(1 + number * 37 % 4096)
        opened = connect(bench.server.address) if number % 3 == 0 else upgrade(bench.server.address)
        with many([opened]):
            send(opened, frame(Opcode.BINARY, data) if number % 3 == 1 else data)
    return f"{count} connections"


@fault
def slow_headers_and_bodies(bench: Bench) -> str:
    """Clients that send a byte of their headers or bodies now and then."""
    address = bench.server.address
    head = f"POST /api/generate-video HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
    beginnings = [b"GET / HTTP/1.1\r\nX: ", f"{head}Content-Length: 1000\r\n\r\n".encode()]
    with many([connect(address) for _ in range(60)]) as slow:
        for number, each in enumerate(slow):
            send(each, beginnings[number % 2])
        for _ in range(bench.choose(2, 15)):
            time.sleep(1)
            for each in slow:
                send(each, b"a")
        took_ms = bench.server.health_ms()
    return f"60 clients, /health in {took_ms:.0f} ms"


@fault
def tiny_messages(bench: Bench) -> str:
    """As many tiny messages, pings and empty fragments as the server takes."""
    count = bench.choose(100_000, 1_000_000)
    floods = [frame(Opcode.PING), frame(Opcode.CONT, fin=False), message("ping", t=1)]
    for flood in floods:
        with many([upgrade(bench.server.address)]) as (attacker,):
            send(attacker, HELLO + frame(Opcode.BINARY, b"x", fin=False) * (flood == floods[1]))
            send(attacker, flood * 1000, count // len(floods) // 1000)
    return f"{count} messages"


@fault
def dear_messages(bench: Bench) -> str:
    """Legal messages that ask for much work."""
    with many([upgrade(bench.server.address)]) as (attacker,):
        send(attacker, HELLO + START)
        for seq in range(300):
            send(attacker, message("poses", seq=seq, poses=[POSE] * 400))
            send(attacker, message("prompt", text=chr(0x1F600 + seq) * 2000))
        took_ms = bench.server.health_ms()
    return f"/health in {took_ms:.0f} ms"


@fault
def unfinished_messages(bench: Bench) -> str:
    """Megabytes of messages that never end."""
    count = bench.choose(20, 60)
    for _ in range(count):
        with many([upgrade(bench.server.address)]) as (attacker,):
            send(attacker, HELLO)
            send(attacker, frame(Opcode.BINARY, bytes(2**20), fin=False))
            send(attacker, frame(Opcode.CONT, bytes(2**20), fin=False), 8)
    return f"{count} connections"


@fault
def exceptions_in_every_stage(bench: Bench) -> str:
    """Each stage of a victim's walk raises an error."""
    return _fail_each(bench, "RuntimeError", ("open", "context", "step", "decode", "encode"))


@fault
def out_of_memory_in_every_stage(bench: Bench) -> str:
    """Each stage of a victim's walk runs out of memory."""
    return _fail_each(bench, "MemoryError", ("open", "context", "step", "decode", "encode"))


def _fail_each(bench: Bench, error: str, stages: tuple[str, ...]) -> str:
    code = {"RuntimeError": "internal", "MemoryError": "out_of_memory"}[error]
    for stage in stages:
        bench.server.plan_fault(stage, error)
        with victim(bench.server.url) as player:
            if not wait_until(lambda: not player.is_alive(), 15):
                return f"FAILED: nothing happened at {stage}"
            if f".{code.upper()}" not in player.ended and code not in player.ended:
                return f"FAILED: at {stage} the victim was told {player.ended!r}"
    return f"{len(stages)} victims were told {code}"


@fault
def clock_jump(bench: Bench) -> str:
    """The clock of the machine jumps back and forth by an hour."""
    for seconds in (3600, -3600):
        bench.server.plan_fault("clock", str(seconds))
        if not wait_until(bench.server.has_failed_as_planned, 5):
            return "FAILED: the clock did not jump"
        time.sleep(1)
    bench.server.plan_fault("clock", "0")
    wait_until(bench.server.has_failed_as_planned, 5)
    return "an hour, in both directions"


@fault
def full_disk(bench: Bench) -> str:
    """The disk is full while walks are recorded and saved."""
    return _break_disk(bench, "ENOSPC")


@fault
def read_only_disk(bench: Bench) -> str:
    """The disk becomes read-only while walks are recorded and saved."""
    return _break_disk(bench, "EROFS")


def _break_disk(bench: Bench, error: str) -> str:
    server, ended = bench.server, 'worldplay_recordings_ended_total{reason="disk"}'
    with victim(server.url) as player:
        if not wait_until(lambda: player.visitor.num_frames > 24, 15):
            return "FAILED: the walk did not begin"
        num_ended, said, frames = server.metric(ended), server.log.count(NOT_SAVED), player.visitor.num_frames
        server.break_disk(error)
        told = wait_until(lambda: server.metric(ended) > num_ended and server.log.count(NOT_SAVED) > said, 10)
        server.mend_disk()
        went_on = wait_until(lambda: player.visitor.num_frames > frames + 24 or not player.is_alive(), 10)
    if not told or not went_on or player.ended:
        return f"FAILED: told {told}, went on {went_on}, {player.ended}"
    written, num_ended = server.metric("worldplay_recorded_bytes_total"), server.metric(ended)
    with victim(server.url):
        again = wait_until(lambda: server.metric("worldplay_recorded_bytes_total") > written, 15)
    if not again or server.metric(ended) > num_ended:
        return "FAILED: later walks are not recorded"
    return "recordings ended, no walk did; later walks are recorded"


@fault
def crowd(bench: Bench) -> str:
    """Many more visitors than slots: everybody waits, and gets a slot in the order of arrival."""
    count = bench.choose(12, 48)
    with ExitStack() as stack:
        url = bench.server.url
        # Who waits reads nothing, not even the answers to pings.
        visitors = [
            stack.enter_context(ws_connect(url, proxy=None, ping_interval=None)) for _ in range(count)
        ]
        for visitor in visitors:
            visitor.send(msgpack.packb({"type": "hello", "protocol": 1}))
            visitor.send(msgpack.packb({"type": "start", "seed": 3}))
            wait_for(visitor, ("queued", "init", "error"))
        for number, visitor in enumerate(visitors):
            wait_for(visitor, ("media",))
            walking = bench.server.health()["sessions"]
            if walking["active"] != 2 or walking["queued"] != count - number - 1:
                return f"FAILED: {walking} when visitor {number} got a slot"
            visitor.send(msgpack.packb({"type": "stop"}))
            wait_for(visitor, ("bye",))  # it can be closed at once when all was read
            visitor.close()
    return f"{count} visitors in order"


def wait_for(visitor: ClientConnection, kinds: tuple[str, ...]) -> None:
    """Read until a message of one of these types comes. Raises: TimeoutError."""
    while msgpack.unpackb(visitor.recv(timeout=20))["type"] not in kinds:
        pass


@fault
def clip_clients_that_leave(bench: Bench) -> str:
    """Clients ask for long clips, and leave after another request."""
    address, body = bench.server.address, json.dumps({"prompt": "x", "num_frames": 2397}).encode()
    head = f"POST /api/generate-video HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
    with many([connect(address) for _ in range(4)]) as clients:
        for each in clients:
            send(each, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(1)
        for each in clients:
            send(each, f"GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    gone = wait_until(lambda: bench.server.health()["jobs"]["queued"] == 0, 10)
    return "their clips were dropped" if gone else "FAILED: their clips were still made"
