"""A client written from docs/protocol.md alone: it knows the table and nothing of the package."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

import msgpack
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

Message = dict[str, Any]
TELL_S = 0.25  # between two playheads; a server takes a client for silent after a second


class Closed(Exception):
    """The server closed the connection; what it sent since the last `recv` has been read."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class RawClient:
    """One visit. With `plays`, every video frame counts as shown the moment it arrives."""

    def __init__(self, url: str, plays: bool = True) -> None:
        self._connecting = connect(
            url, subprotocols=[Subprotocol("worldplay.v1")], compression=None, max_size=None, close_timeout=2
        )
        self._plays = plays
        self._shown: float | None = None  # media time
        self._seq = itertools.count()

    def __enter__(self) -> "RawClient":
        self._socket = self._connecting.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def subprotocol(self) -> str | None:
        return self._socket.subprotocol

    def hello(self, **fields: Any) -> Message:
        """Greet. Returns: the `welcome`."""
        self.send("hello", protocol=1, **fields)
        return self.recv_type("welcome")

    def start(self, **fields: Any) -> Message:
        """Open a walk. Returns: its `init`."""
        self.send("start", **fields)
        return self.recv_type("init")

    def press(self, keys: Sequence[str], yaw: float = 0.0, pitch: float = 0.0) -> int:
        """Say which keys are held now. Returns: the `seq` to look for."""
        seq = next(self._seq)
        look = {"yaw": yaw, "pitch": pitch}
        self.send("controls", seq=seq, t=time.monotonic() * 1000, keys=list(keys), look=look)
        return seq

    def send(self, type: str, **fields: Any) -> None:
        self.send_frame(msgpack.packb({"type": type, **fields}))

    def send_frame(self, frame: bytes | str) -> None:
        """Send anything, right or wrong."""
        self._socket.send(frame)

    def recv(self, timeout: float = 60.0) -> Message:
        """Raises: TimeoutError, or Closed with the server's close code."""
        try:
            frame = self._recv_frame(time.monotonic() + timeout)
        except ConnectionClosed:
            raise Closed(self._socket.protocol.close_code or 1006) from None
        assert isinstance(frame, bytes), frame
        message: Message = msgpack.unpackb(frame)
        if message["type"] == "media" and self._plays:
            self._shown = message["time"] + message["duration"]
            self._tell_playhead()
        return message

    def _recv_frame(self, by_s: float) -> bytes | str:
        """Receive, and tell the playhead all the while: nothing is made for a client that is silent."""
        while True:
            left_s = max(0.0, by_s - time.monotonic())
            try:
                return self._socket.recv(min(left_s, TELL_S))
            except TimeoutError:
                if left_s <= TELL_S:
                    raise
                self._tell_playhead()

    def recv_type(self, type: str, timeout: float = 60.0) -> Message:
        """Read on to the next message of a type."""
        return self.collect(lambda message: message["type"] == type, timeout)[-1]

    def collect(self, until: Callable[[Message], bool], timeout: float = 60.0) -> list[Message]:
        """Read up to and with the first message for which `until` holds, in `timeout` seconds altogether.

        Raises: AssertionError at an `error` that is not what is waited for.
        """
        messages: list[Message] = []
        deadline = time.monotonic() + timeout
        while not messages or not until(messages[-1]):
            assert not messages or messages[-1]["type"] != "error", messages[-1]
            messages.append(self.recv(max(0.0, deadline - time.monotonic())))
        return messages

    def wait_closed(self, timeout: float = 60.0, most_per_s: float = math.inf) -> tuple[list[Message], int]:
        """Read to the end, so many messages a second. Returns: the last messages and the close code."""
        messages: list[Message] = []
        deadline = time.monotonic() + timeout
        while True:
            time.sleep(1 / most_per_s)
            try:
                messages.append(self.recv(max(0.0, deadline - time.monotonic())))
            except Closed as closed:
                return messages, closed.code

    def close(self) -> None:
        self._socket.close()

    def _tell_playhead(self) -> None:
        if self._shown is not None:
            with suppress(ConnectionClosed):  # the rest of what came can still be read
                self.send("playhead", shown=self._shown, buffered=0.0, stalled=0, hidden=False)


def of(kind: str, messages: list[Message]) -> list[Message]:
    """The messages of one type."""
    return [message for message in messages if message["type"] == kind]
