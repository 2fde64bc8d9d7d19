"""The latest messages that one client was sent, to send again if they were lost with its connection."""

from collections import deque
from collections.abc import Iterable

from worldplay.protocol import messages as m

REMEMBERED_FRAMES = 240  # ten seconds; at most three seconds are under way when a connection is lost
REMEMBERED_BYTES = 8 * 2**20
# These belong to one connection, and mean nothing to the next one.
_OF_ONE_CONNECTION = (m.Welcome, m.Pong, m.Received, m.Shared, m.Watchers, m.Bye)


class SentMessages:
    """The latest messages that were sent, for a client that lost some of them."""

    def __init__(self) -> None:
        self._messages: deque[m.ServerMessage] = deque()
        self._num_frames = 0
        self._num_bytes = 0
        self._is_complete = True  # nothing was forgotten

    def add(self, message: m.ServerMessage) -> None:
        if is_of_one_connection(message):
            return
        if isinstance(message, m.Queued) and self._messages and isinstance(self._messages[-1], m.Queued):
            self._messages.pop()
        self._messages.append(message)
        if isinstance(message, m.Media):
            self._num_frames += 1
            self._num_bytes += len(message.data)
        while self._num_frames > REMEMBERED_FRAMES or self._num_bytes > REMEMBERED_BYTES:
            self._forget_oldest()

    def begin_with(self, messages: Iterable[m.ServerMessage]) -> None:
        """Remember these instead: the client has nothing else."""
        self._messages.clear()
        self._num_frames = self._num_bytes = 0
        self._is_complete = False
        for message in messages:
            self.add(message)

    def from_newest_key(self) -> list[m.ServerMessage]:
        """Return the walk's newest frames, from a key frame on, and their chunks; empty if there are none."""
        found: deque[m.ServerMessage] = deque()
        has_key = False
        for message in reversed(self._messages):
            if isinstance(message, m.Init):
                break
            if isinstance(message, m.Chunk | m.Media):
                found.appendleft(message)
            has_key = has_key or (isinstance(message, m.Media) and message.key)
            if has_key and isinstance(message, m.Chunk):
                return list(found)
        # A walk's first chunk may have no frame yet. Frames without their key frame are of no use.
        return [] if any(isinstance(message, m.Media) for message in found) else list(found)

    def after(self, last_frame: int | None) -> list[m.ServerMessage] | None:
        """Return what was sent after a frame, or everything after none; None if that is not known."""
        if not last_frame:  # 0 also means that the client has none
            return list(self._messages) if self._is_complete else None
        messages = list(self._messages)
        for place, message in enumerate(messages):
            if isinstance(message, m.Media) and message.frame == last_frame:
                return messages[place + 1 :]
        return None

    def _forget_oldest(self) -> None:
        self._is_complete = False
        message = self._messages.popleft()
        if isinstance(message, m.Media):
            self._num_frames -= 1
            self._num_bytes -= len(message.data)


def is_of_one_connection(item: object) -> bool:
    """Return whether an item is for one connection. An error that ends it is not for the next one."""
    return isinstance(item, _OF_ONE_CONNECTION) or (isinstance(item, m.Error) and item.fatal)
