"""A decoder on a thread of its own, on a fake clock."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from support.fakes import FakeClock
from worldplay.engine.decode_queue import DecodeQueue
from worldplay.engine.decoder import DecoderThread
from worldplay.engine.ports import Frames
from worldplay.engine.watchdog import Watchdog


class FakeDecoder(DecoderThread):
    """Delivers each latent so many ms after it was begun, whatever the worker does. Its thread never starts.

    The walks' own decoding must take no time.
    """

    def __init__(self, clock: FakeClock, decode_ms: float) -> None:
        super().__init__(clock, lambda: None, Watchdog(math.inf))
        self._fake_clock = clock
        self.next_ms = math.inf
        self._decode_ms = decode_ms
        self._begun: tuple[DecodeQueue, Iterator[Frames], float] | None = None
        clock.pages.append(self)

    def begin(self, queue: DecodeQueue) -> None:
        assert self._begun is None, "one latent at a time"
        now_ms = self._clock()
        self._begun, self.is_busy = (queue, queue.begin(), now_ms), True
        self.next_ms = now_ms + self._decode_ms

    def tick(self) -> None:
        assert self._begun is not None, "no latent was begun"
        queue, latents, started_ms = self._begun
        self._begun, self.is_busy, self.next_ms = None, False, math.inf
        queue.finish(next(latents), started_ms)
        following = self.choose()
        if following is not None:
            self.begin(following)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        while self.is_busy:
            self._fake_clock.advance(self.next_ms - self._fake_clock.now_ms)
        yield

    def play(self) -> None:
        """Nothing is shown here."""
