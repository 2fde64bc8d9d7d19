"""Clients: one that plays and must not notice anything, victims, and sockets that misbehave."""

import base64
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgpack
from websockets.frames import Frame, Opcode

from fault_bench import VICTIM_SEED
from fault_bench.waiting import wait_until
from worldplay.client.visit import Visit

MESSAGE = Opcode.BINARY
VICTIM_S = 30.0  # how long a victim walks


class Player(threading.Thread):
    """A visitor in a thread of its own."""

    def __init__(self, url: str, seconds: float, seed: int = 1) -> None:
        super().__init__(daemon=True)
        self.visitor = Visit(seed=seed)
        self._url = url
        self.ended = ""  # why, if it did not leave by itself
        self._seconds = seconds

    def run(self) -> None:
        try:
            self.visitor.walk(self._url, self._seconds)
        except Exception as error:  # noqa: BLE001  # whatever the server does to a victim is a result
            self.ended = f"{type(error).__name__}: {error}"

    def leave(self) -> None:
        self.visitor.leave()
        self.join(10)


def start_walking(url: str, seconds: float) -> Player:
    """Let somebody walk for so long. Returns: once video comes."""
    player = Player(url, seconds)
    player.start()
    wait_until(lambda: player.visitor.num_frames > 20, 20)
    return player


@contextmanager
def victim(url: str) -> Iterator[Player]:
    """A walk that faults are meant for."""
    player = Player(url, VICTIM_S, VICTIM_SEED)
    player.start()
    try:
        yield player
    finally:
        player.leave()


def connect(address: str, receive_bytes: int | None = None) -> socket.socket:
    """Open a TCP connection, with a small receive buffer if wanted."""
    host, port = address.split(":")
    connection = socket.socket()
    connection.settimeout(10)
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect((host, int(port)))
    return connection


def upgrade(address: str, receive_bytes: int | None = None) -> socket.socket:
    """Open a WebSocket, whose bytes the caller sends and reads."""
    connection = connect(address, receive_bytes)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: worldplay.v1\r\n\r\n".encode()
    )
    connection.recv(4096)
    return connection


def frame(opcode: Opcode, data: bytes = b"", fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def message(type: str, **fields: object) -> bytes:
    return frame(MESSAGE, msgpack.packb({"type": type, **fields}))


def send(connection: socket.socket, data: bytes, times: int = 1) -> bool:
    """Send, as long as the server takes it. Returns: whether it took everything."""
    try:
        for _ in range(times):
            connection.sendall(data)
    except OSError:
        return False
    return True
