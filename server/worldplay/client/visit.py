"""Walks over the wire as a page does, and notes what arrives and when."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
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
MOST_CHUNKS = 6  # after a key press, of which one includes it if the server tells so at all
SILENCE_S = 2.0  # at the end, if chunks usually come twice as often: the video has stopped


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
            patience_s: without video for so long, the visit ends. So long it may also wait, beyond its time,
                for the first answer to a key press.
        """
        self._token = token
        self._seed = seed
        self._patience_s = patience_s
        self.welcome: m.Welcome | None = None
        self.began_s = 0.0  # when the walk was asked for
        self.ended_s: float | None = None
        self.queued: m.Queued | None = None  # the place in the queue, until a frame comes
        self.queued_s: float | None = None  # until the walk was opened, if it was queued
        self.opened_s: float | None = None  # when the walk was opened
        self.arrivals_s: list[float] = []  # of each frame
        self.chunks: list[Announced] = []
        self.latencies_ms: list[float] = []  # from key presses to the first frames that include them
        self.player = Player(plays)
        self._playhead_every_s = PLAYHEAD_S if plays else SOON_S
        self._next_chunk: m.Chunk | None = None  # of which no frame has come
        self._pressed: dict[int, float] = {}  # when, by seq
        self._num_chunks_when_pressed: int | None = None  # at the first press
        self._next_playhead_s = 0.0
        self._next_press_s = 0.0
        self._seq = 0
        self._leaves = False

    @property
    def num_frames(self) -> int:
        return len(self.arrivals_s)

    @property
    def num_unanswered(self) -> int:
        """Return how many key presses no chunk has included."""
        return len(self._pressed)

    def leave(self) -> None:
        """Let `walk` end soon. Any thread."""
        self._leaves = True

    def walk(self, url: str, seconds: float) -> None:
        """Walk for so long after the first frame, and until a key press was answered, if one ever is.

        It takes no longer than `seconds` and the patience after the walk was asked for.

        Raises: VisitEndedError if it ends earlier, or the video stopped; ValueError for a wrong URL.
        """
        with open_wire(find_socket(url)) as wire:
            wire.send(m.Hello(protocol=m.PROTOCOL, token=self._token))
            self._be_welcomed(wire)
            self.began_s = monotonic()
            try:
                self._go(wire, seconds)
            finally:
                self.ended_s = monotonic()
                self.player.advance(self.ended_s)
            wire.send(m.Stop())
            self._check_silence(self.ended_s)

    def _go(self, wire: Wire, seconds: float) -> None:
        wire.send(m.Start(seed=self._seed))
        while not self._is_done(monotonic(), seconds):
            message = wire.receive(WAIT_S)
            now_s = monotonic()
            if message is not None:
                self.take(message, now_s)
            for answer in self.answer(now_s):
                wire.send(answer)

    def _be_welcomed(self, wire: Wire) -> None:
        message = self._await_answer(wire)
        if self._leaves:
            return
        if message is None:
            raise VisitEndedError(f"the server did not answer hello for {self._patience_s:g} s")
        if not isinstance(message, m.Welcome):
            self.take(message, monotonic())  # only a goodbye may come instead
            return
        if message.protocol != m.PROTOCOL:
            raise VisitEndedError(_broken(f"expected protocol {m.PROTOCOL}, got {message.protocol}"))
        if message.resumed:
            raise VisitEndedError(_broken("expected a new session, got one that was resumed"))
        if message.fps <= 0:
            raise VisitEndedError(_broken(f"expected frames per second over 0, got {message.fps:g}"))
        self.welcome = message
        if message.can_walk is False:
            raise VisitEndedError(f"the server's model, {message.model}, makes clips only")

    def _await_answer(self, wire: Wire) -> m.ServerMessage | None:
        ends_s = monotonic() + self._patience_s
        while not self._leaves and monotonic() < ends_s:
            if (message := wire.receive(WAIT_S)) is not None:
                return message
        return None

    def _is_done(self, now_s: float, seconds: float) -> bool:
        arrived = self.arrivals_s
        if self._leaves:
            return True
        if now_s - (arrived[-1] if arrived else self.began_s) > self._patience_s:
            place = f" at place {self.queued.position} of the queue" if self.queued else ""
            raise VisitEndedError(f"no video came for {self._patience_s:g} s{place}")
        if not arrived or now_s < arrived[0] + seconds:
            return False
        is_late = now_s >= self.began_s + seconds + self._patience_s
        return bool(self.latencies_ms) or is_late or not self._may_be_answered()

    def _may_be_answered(self) -> bool:
        """Return whether a key press may still be included in a chunk. Servers need not tell."""
        before = self._num_chunks_when_pressed
        return before is None or len(self.chunks) - before < MOST_CHUNKS

    def _check_silence(self, now_s: float) -> None:
        """Raises: VisitEndedError if the video stopped long before now."""
        if self._leaves or not self.chunks:
            return
        silence_s = now_s - self.arrivals_s[-1]
        began_s = [self.began_s, *(each.first_at_s for each in self.chunks)]
        usual_s = statistics.median(after - before for before, after in pairwise(began_s))
        if silence_s > max(SILENCE_S, 2 * usual_s):
            raise VisitEndedError(f"no video came for the last {silence_s:.1f} s")

    def take(self, message: m.ServerMessage, now_s: float) -> None:
        """Note a message that has arrived. Raises: VisitEndedError if the server says goodbye."""
        match message:
            case m.Bye():
                raise VisitEndedError(f"the server ended the walk: {message.reason}")
            case m.Queued():
                self.queued = message
            case m.Init():
                self._open(now_s)
            case m.Chunk():  # one that came before and has no frames yet is replaced by it
                self._next_chunk = message
            case m.Media():
                self._take_frame(message, now_s)

    def _open(self, now_s: float) -> None:
        if self.opened_s is None:
            self.opened_s = now_s
            self.queued_s = None if self.queued is None else now_s - self.began_s

    def _take_frame(self, media: m.Media, now_s: float) -> None:
        self._check_times(media)
        self.queued = None
        self.arrivals_s.append(now_s)
        self.player.advance(now_s)
        buffered_s = self.player.buffered_s
        self.player.take(media, now_s)
        if self._next_chunk is not None:
            self.chunks.append(Announced(self._next_chunk, now_s, buffered_s))
            self._include(self._next_chunk.controls_seq, now_s)
            self._next_chunk = None
        self.chunks[-1].media.append(media)

    def _check_times(self, media: m.Media) -> None:
        """Raises: VisitEndedError if a frame is not where its number says: half a frame off or more."""
        if self.welcome is None:
            return
        expected_s, frame_s = media.frame / self.welcome.fps, 1 / self.welcome.fps
        if max(abs(media.time - expected_s), abs(media.duration - frame_s)) >= frame_s / 2:
            said = f"expected frame {media.frame} at {expected_s:.4g} s for {frame_s:.4g} s"
            raise VisitEndedError(_broken(f"{said}, got {media.time:.4g} s for {media.duration:.4g} s"))

    def _include(self, controls_seq: int | None, now_s: float) -> None:
        newest = -1 if controls_seq is None else controls_seq
        for seq in [seq for seq in self._pressed if seq <= newest]:
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
            if self._num_chunks_when_pressed is None:
                self._num_chunks_when_pressed = len(self.chunks)
            keys, look = KEYS[self._seq % len(KEYS)], m.Look(yaw=0.0, pitch=0.0)
            yield m.Controls(seq=self._seq, t=now_s * 1000.0, keys=keys, look=look)


def _broken(how: str) -> str:
    return f"the server broke protocol 1: {how}"
