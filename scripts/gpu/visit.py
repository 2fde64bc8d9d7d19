"""Walks over the wire as a page does, and measures what arrives."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from websockets.sync.client import ClientConnection as Socket
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from gpu.setup import Row
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ClientConnection

KEYS: list[tuple[m.Key, ...]] = [("w",), ("w", "right"), ("left",), ("s",), ("d", "up")]
PRESS_S = 0.7
PLAYHEAD_S = 0.1
SOON_S = 0.02  # servers limit the rate of messages


@dataclass(slots=True)
class Visit:
    """One walk. `plays` at the speed of the video; otherwise each frame counts as shown when it arrives."""

    plays: bool
    began: float = 0.0
    first_frame_s: float | None = None
    chunks: list[tuple[float, m.Chunk]] = field(default_factory=list)  # of each, when its first frame came
    media: list[m.Media] = field(default_factory=list)
    stalled_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    _announced: list[m.Chunk] = field(default_factory=list)
    _pressed: dict[int, float] = field(default_factory=dict)
    _shown_s: float = 0.0
    _clock: float = 0.0
    _next_playhead: float = 0.0
    _next_press: float = 0.0
    _seq: int = 0

    def walk(self, url: str, seconds: float) -> None:
        """Walk for so long after the first frame, and until a key press was answered."""
        address = url.replace("http", "ws", 1) + "/ws"
        protocols = [Subprotocol(m.SUBPROTOCOL)]
        with connect(address, subprotocols=protocols, compression=None, max_size=None) as socket:
            connection = ClientConnection()
            socket.send(connection.send(m.Hello(protocol=m.PROTOCOL)))
            self.began = monotonic()
            socket.send(connection.send(m.Start(seed=0)))
            while not self._is_done(seconds):
                self._receive(socket, connection)
                self._answer(socket, connection)

    def _is_done(self, seconds: float) -> bool:
        if self.first_frame_s is None or not self.latencies_ms:
            return False
        return monotonic() >= self.began + self.first_frame_s + seconds

    def describe(self) -> Row:
        """Summarise the walk; the rate is of the last half of the chunks, when the context is fullest."""
        row: Row = {"frames": len(self.media), "first frame s": self.first_frame_s or 0.0}
        late = self.chunks[len(self.chunks) // 2 :]
        if len(late) > 1:
            frames = late[-1][1].first_frame - late[0][1].first_frame
            row["frames/s"] = frames / (late[-1][0] - late[0][0])
        row |= {"presses": len(self.latencies_ms), "worst ms": max(self.latencies_ms, default=0.0)}
        row |= _medians("key to fragment ms", self.latencies_ms)
        timings = [chunk.timings for _, chunk in late]
        row |= _medians("context ms", [each.context for each in timings])
        row |= _medians("denoise ms", [each.denoise for each in timings])
        row |= _medians("decode ms a latent", [each.decode for each in self.media if each.decode])
        return row | ({"stalled s": self.stalled_s} if self.plays else {})

    def _receive(self, socket: Socket, connection: ClientConnection) -> None:
        try:
            message = connection.receive(socket.recv(0.02))
        except TimeoutError:
            return
        now = monotonic()
        match message:
            case m.Error():
                raise RuntimeError(f"the server said {message.code}: {message.message}")
            case m.Chunk():
                self._announced.append(message)
            case m.Media():
                self._take(message, now)

    def _take(self, media: m.Media, now: float) -> None:
        if self.first_frame_s is None:
            self.first_frame_s = now - self.began
        self.media.append(media)
        while self._announced and self._announced[0].first_frame <= media.frame:
            chunk = self._announced.pop(0)
            self.chunks.append((now, chunk))
            included = -1 if chunk.controls_seq is None else chunk.controls_seq
            for seq in [seq for seq in self._pressed if seq <= included]:
                self.latencies_ms.append((now - self._pressed.pop(seq)) * 1000.0)

    def _answer(self, socket: Socket, connection: ClientConnection) -> None:
        """Send the playhead and keys, if it is time."""
        if self.first_frame_s is None:
            return
        now = monotonic()
        if self._play(now):
            ahead_s = self._arrived_s - self._shown_s
            socket.send(
                connection.send(m.Playhead(shown=self._shown_s, buffered=ahead_s, stalled=0, hidden=False))
            )
        if now >= self._next_press:
            self._next_press, self._seq = now + PRESS_S, self._seq + 1
            self._pressed[self._seq] = now
            keys = KEYS[self._seq % len(KEYS)]
            look = m.Look(yaw=0.0, pitch=0.0)
            socket.send(connection.send(m.Controls(seq=self._seq, t=now * 1000, keys=keys, look=look)))

    def _play(self, now: float) -> bool:
        """Show what is due. Returns: whether to send a playhead."""
        step, self._clock = now - (self._clock or now), now
        ahead_s = self._arrived_s - self._shown_s
        played = min(step, ahead_s) if self.plays else ahead_s
        self._shown_s += played
        self.stalled_s += max(0.0, step - played) if self.plays else 0.0
        if now < self._next_playhead:
            return False
        self._next_playhead = now + (PLAYHEAD_S if self.plays else SOON_S)
        return True

    @property
    def _arrived_s(self) -> float:
        return self.media[-1].time + self.media[-1].duration


def _medians(name: str, values: Sequence[float]) -> Row:
    return {name: statistics.median(values)} if values else {}
