"""Sockets that speak HTTP and WebSocket byte by byte, right or wrong."""

import socket
import struct
from typing import Any

import msgpack

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
_NOT_MASKED = bytes(4)  # a mask of zeros leaves the data as it is


def connect(address: str, timeout_s: float = 60.0) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout_s)


def upgrade(address: str, headers: str = "", path: str = "/ws", host: str | None = None) -> socket.socket:
    """Open a WebSocket. Raises: AssertionError with the answer's first line if it is refused."""
    connection = connect(address)
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host or address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: worldplay.v1\r\n{headers}\r\n".encode()
    )
    status = _read_head(connection).partition(b"\r\n")[0].decode()
    if " 101 " not in status:
        connection.close()
        raise AssertionError(status)
    return connection


def begin_post(address: str, body: bytes, length: int | None = None) -> socket.socket:
    """Ask for a clip, and read no answer. Without the whole body, say how long it is."""
    connection = connect(address)
    connection.sendall(
        f"POST /api/generate-video HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n".encode()
        + body
    )
    return connection


def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(4096)
        if not part:
            break
        head += part
    return head


def frame(opcode: int, data: bytes = b"", fin: bool = True) -> bytes:
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 2**16:
        head += bytes([0x80 | 126]) + struct.pack(">H", len(data))
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", len(data))
    return head + _NOT_MASKED + data


def message(type: str, **fields: Any) -> bytes:
    return frame(BINARY, msgpack.packb({"type": type, **fields}))


def send_until_closed(connection: socket.socket, data: bytes, times: int = 1) -> None:
    """Send, as long as the server takes it."""
    try:
        for _ in range(times):
            connection.sendall(data)
    except ConnectionError:
        return


def read_to_end(connection: socket.socket, timeout_s: float = 60.0) -> bytes:
    """Read until the server closes. Raises: TimeoutError if it does not."""
    connection.settimeout(timeout_s)
    received = bytearray()
    try:
        while part := connection.recv(2**16):
            received += part
    except ConnectionError:
        pass
    return bytes(received)


def close_code(received: bytes) -> int | None:
    """Return the code of the close frame at the end of what a server sent."""
    end = received.rfind(b"\x88")
    return struct.unpack_from(">H", received, end + 2)[0] if end >= 0 else None
