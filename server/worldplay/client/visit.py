"""Walks over the wire as a page does, and notes what arrives and when."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

from worldplay.client.player import Player
from worldplay.client.wire import VisitEndedError, Wire, find_socket, open_wire
from worldplay.protocol import messages as m
from worldplay.protocol.fields import Key

KEYS: tuple[tuple[Key, ...], ...] = (("w",), ("w", "right"), ("left",), ("s",), ("d", "up"))
PRESS_S = 0.7
PLAYHEAD_S = 0.1
SOON_S = 0.02  # servers limit the rate of messages
WAIT_S = 0.02  # for a message, before keys and playheads are looked at


@dataclass(slots=True)
class Announced:
    """A chunk whose frames came."""

    chunk: m.Chunk
    first_at_s: float  # when its first frame came
    buffered_s: float  # media that was not shown by then
    media: list[m.Media] = field(default_factory=list)

    @property
    def model_ms(self) -> float:
        """Return how long the model worked on it, as the server says."""
        timings = self.chunk.timings
        return timings.select + timings.context + timings.denoise + sum(each.decode for each in self.media)


class Visit:
    """One session. Times are seconds of this machine's monotonic clock."""

    def __init__(
        self, *, plays: bool = True, token: str | None = None, patience_s: float = 120.0, seed: int = 0
    ) -> None:
        """Prepare a visit.

        Args:
            plays: at the speed of the video; otherwise each frame counts as shown when it arrives.
            patience_s: without video for so long, the visit ends.
        """
        self._token = token
        self._seed = seed
        self._patience_s = patience_s
        self.welcome: m.Welcome | None = None
        self.began_s = 0.0  # when the walk was asked for
        self.queued: m.Queued | None = None  # the newest place in the queue
        self.opened_s: float | None = None  # when the walk was opened
        self.arrivals_s: list[float] = []  # of each frame
        self.chunks: list[Announced] = []
        self.latencies_ms: list[float] = []  # from key presses to the first frames that include them
        self.player = Player(plays)
        self._playhead_every_s = PLAYHEAD_S if plays else SOON_S
        self._next_chunks: list[m.Chunk] = []
        self._pressed: dict[int, float] = {}  # when, by seq
        self._next_playhead_s = 0.0
        self._next_press_s = 0.0
        self._seq = 0
        self._leaves = False

    @property
    def num_frames(self) -> int:
        return len(self.arrivals_s)

    def leave(self) -> None:
        """Let `walk` end soon. Any thread."""
        self._leaves = True

    def walk(self, url: str, seconds: float) -> None:
        """Walk for so long after the first frame, and until a key press was answered.

        Raises: VisitEndedError if it ends earlier; ValueError for a wrong URL.
        """
        with open_wire(find_socket(url)) as wire:
            wire.send(m.Hello(protocol=m.PROTOCOL, token=self._token))
            self._be_welcomed(wire)
            self.began_s = monotonic()
            wire.send(m.Start(seed=self._seed))
            while not self._is_done(seconds):
                message = wire.receive(WAIT_S)
                now_s = monotonic()
                if message is not None:
                    self.take(message, now_s)
                for answer in self.answer(now_s):
                    wire.send(answer)
            wire.send(m.Stop())

    def _be_welcomed(self, wire: Wire) -> None:
        message = wire.receive(self._patience_s)
        if not isinstance(message, m.Welcome):
            raise VisitEndedError(f"the server did not answer hello for {self._patience_s:g} s")
        self.welcome = message
        if message.can_walk is False:
            raise VisitEndedError(f"the server's model, {message.model}, makes clips only")

    def _is_done(self, seconds: float) -> bool:
        now_s, arrived = monotonic(), self.arrivals_s
        if self._leaves:
            return True
        if now_s - (arrived[-1] if arrived else self.began_s) > self._patience_s:
            place = f" at place {self.queued.position} of the queue" if self.queued and not arrived else ""
            raise VisitEndedError(f"no video came for {self._patience_s:g} s{place}")
        return bool(arrived and self.latencies_ms) and now_s >= arrived[0] + seconds

    def take(self, message: m.ServerMessage, now_s: float) -> None:
        """Note a message that has arrived. Raises: VisitEndedError if the server says goodbye."""
        match message:
            case m.Bye():
                raise VisitEndedError(f"the server ended the walk: {message.reason}")
            case m.Queued():
                self.queued = message
            case m.Init():
                self.opened_s = now_s
            case m.Chunk():
                self._next_chunks.append(message)
            case m.Media():
                self._take_frame(message, now_s)

    def _take_frame(self, media: m.Media, now_s: float) -> None:
        self.arrivals_s.append(now_s)
        self.player.advance(now_s)
        buffered_s = self.player.buffered_s
        self.player.take(media, now_s)
        while self._next_chunks and self._next_chunks[0].first_frame <= media.frame:
            chunk = self._next_chunks.pop(0)
            self.chunks.append(Announced(chunk, now_s, buffered_s))
            self._include(-1 if chunk.controls_seq is None else chunk.controls_seq, now_s)
        self.chunks[-1].media.append(media)

    def _include(self, controls_seq: int, now_s: float) -> None:
        for seq in [seq for seq in self._pressed if seq <= controls_seq]:
            self.latencies_ms.append((now_s - self._pressed.pop(seq)) * 1000.0)

    def answer(self, now_s: float) -> Iterator[m.ClientMessage]:
        """Yield the playhead and keys that are due."""
        if not self.arrivals_s:
            return
        self.player.advance(now_s)
        if now_s >= self._next_playhead_s:
            self._next_playhead_s = now_s + self._playhead_every_s
            shown_s, buffered_s = self.player.shown_s, self.player.buffered_s
            yield m.Playhead(shown=shown_s, buffered=buffered_s, stalled=0, hidden=False)
        if now_s >= self._next_press_s:
            self._next_press_s, self._seq = now_s + PRESS_S, self._seq + 1
            self._pressed[self._seq] = now_s
            keys, look = KEYS[self._seq % len(KEYS)], m.Look(yaw=0.0, pitch=0.0)
            yield m.Controls(seq=self._seq, t=now_s * 1000.0, keys=keys, look=look)
