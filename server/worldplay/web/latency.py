"""Latency as the server sees it: from the arrival of a control message to its first frame on screen."""

from collections import deque

MAX_PENDING = 64


class LatencyTracker:
    """Joins three moments: a message arrives, a chunk includes it, the client shows that chunk."""

    def __init__(self) -> None:
        self._received: deque[tuple[int, float]] = deque(maxlen=MAX_PENDING)  # seq, clock ms
        self._sent: deque[tuple[float, float]] = deque(maxlen=MAX_PENDING)  # media s, clock ms of arrival

    def clear(self) -> None:
        """Forget all messages: the connection that they came on has ended, and `seq` begins again."""
        self._received.clear()
        self._sent.clear()

    def receive(self, seq: int, now_ms: float) -> None:
        """Note that a control message has arrived."""
        self._received.append((seq, now_ms))

    def send(self, controls_seq: int | None, media_s: float) -> None:
        """Note that a chunk beginning at `media_s` includes all messages up to `controls_seq`."""
        while controls_seq is not None and self._received and self._received[0][0] <= controls_seq:
            self._sent.append((media_s, self._received.popleft()[1]))

    def show(self, shown_s: float, now_ms: float) -> list[float]:
        """Note that the client shows media time `shown_s`.

        Returns: the latency in ms of each message that is now on screen for the first time.
        """
        latencies = []
        while self._sent and self._sent[0][0] <= shown_s:
            media_s, received_ms = self._sent.popleft()
            shown_ms = now_ms - (shown_s - media_s) * 1000.0
            latencies.append(max(0.0, shown_ms - received_ms))
        return latencies
