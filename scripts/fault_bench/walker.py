"""A client that loses its connection and resumes. As a program it walks on whatever happens: see `main`."""

import socket
import sys
import time
from contextlib import suppress
from typing import Any

import msgpack
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as ws_connect

Message = dict[str, Any]
PATIENCE_S = 30.0
RETRY_S = 0.2
FRAME_S = 0.01  # at least, from frame to frame: each is acknowledged, and 200 messages a second are allowed


class Walker:
    """One walk, over one connection after the other. Every frame counts as shown when it is read."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.num_frames = 0  # received, on all connections
        self.chunk = -1  # of the latest frame
        self.frame = 0
        self.opened_s = 0.0  # when the newest socket was open
        self._read_s = 0.0  # when the newest frame was read
        self._resume: dict[str, str] | None = None
        self._socket: ClientConnection | None = None

    def connect(self, url: str | None = None) -> bool:
        """Connect, and go on with the walk if there was one. Returns: whether it goes on."""
        url = f"{url or self.url}?fields=snapshots"
        self._socket = ws_connect(url, proxy=None, ping_interval=None).__enter__()  # it may read late
        self.opened_s = time.monotonic()
        resume = {} if self._resume is None else {"resume": {**self._resume, "fragment": self.frame}}
        self.send("hello", protocol=1, **resume)
        welcome = self.receive_type("welcome")
        self._resume = {"session": welcome["session"], "secret": welcome["secret"]}
        return bool(welcome["resumed"])

    @property
    def session(self) -> str:
        assert self._resume is not None, "not connected yet"
        return self._resume["session"]

    def copy(self) -> "Walker":
        """Return another client with the same secret."""
        other = Walker(self.url)
        other._resume, other.frame, other.chunk = self._resume, self.frame, self.chunk
        return other

    def start(self, **fields: object) -> Message:
        """Begin a walk. Returns: its `init`, or the error."""
        self.send("start", **fields)
        return self.receive_type("init", "error")

    def walk(self, seconds: float) -> None:
        """Receive for so long, and at least one frame."""
        end_s, before = time.monotonic() + seconds, self.num_frames
        while time.monotonic() < end_s or self.num_frames == before:
            self.receive()

    def bookmark(self, key: str) -> Message:
        """Keep a copy of the walk. Returns: the answer."""
        self.send("bookmark", name="", key=key)
        return self.receive_type("bookmarked", "error")

    def receive_type(self, *kinds: str) -> Message:
        while (message := self.receive())["type"] not in kinds:
            pass
        return message

    def receive(self) -> Message:
        """Raises: TimeoutError or ConnectionClosed."""
        assert self._socket is not None, "not connected"
        message: Message = msgpack.unpackb(self._socket.recv(PATIENCE_S))
        if message["type"] == "media":
            time.sleep(max(0.0, self._read_s + FRAME_S - time.monotonic()))
            self._read_s = time.monotonic()
            self.num_frames += 1
            self.chunk, self.frame = message["chunk"], message["frame"]
            shown = message["time"] + message["duration"]
            with suppress(ConnectionClosed):  # the rest of what came can still be read
                self.send("playhead", shown=shown, buffered=0.0, stalled=0, hidden=False)
        return message

    def send(self, type: str, **fields: object) -> None:
        assert self._socket is not None, "not connected"
        self._socket.send(msgpack.packb({"type": type, **fields}))

    def lose(self) -> None:
        """Lose the connection, without a word."""
        if self._socket is not None:
            with suppress(OSError):  # the server may have closed it before
                self._socket.socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None

    def stop(self) -> None:
        """End the walk. The server closes the connection, perhaps before this does."""
        assert self._socket is not None, "not connected"
        self.send("stop")
        self.receive_type("bye")
        self._socket.close()
        self._socket = None


def main(url: str) -> None:
    """Walk for ever. Print the number of frames now and then, and `lost` if the walk had to begin again."""
    walker, has_walked = Walker(url), False
    while True:
        try:
            if not walker.connect():
                if has_walked:
                    print("lost", flush=True)
                walker.start(seed=2)
            while True:
                walker.walk(0.5)
                has_walked = True
                print(walker.num_frames, flush=True)
        except (ConnectionClosed, TimeoutError, OSError, InvalidHandshake):
            time.sleep(RETRY_S)


if __name__ == "__main__":
    main(sys.argv[1])
