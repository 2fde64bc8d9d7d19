"""Where latents are decoded: on the worker thread between its stages, or on a thread beside them."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread

from worldplay.engine.decode_queue import DecodeQueue
from worldplay.engine.failures import code_of
from worldplay.engine.ports import Frames
from worldplay.engine.session import Session
from worldplay.engine.watchdog import Watchdog

logger = logging.getLogger(__name__)

Choose = Callable[[], DecodeQueue | None]  # whose next latent is decoded now; with the lock


class Decoder:
    """Decodes one latent at a time: at once, on the thread that asks, where failures are raised.

    Whoever holds `lock` owns all sessions, queues, costs and counters. The worker holds it except while it
    computes a stage. Only one thing may happen meanwhile: a latent is delivered, and the next one is begun.
    All methods are called with the lock.
    """

    is_beside = False  # whether another thread decodes
    is_busy = False

    def __init__(self) -> None:
        self.lock = Condition()
        self.failures: deque[tuple[Session, str]] = deque()  # sessions to end, with codes
        self.is_worker_computing = False

    def begin(self, queue: DecodeQueue) -> None:
        """Decode a queue's next latent. The decoder must not be busy."""
        queue.decode_next()

    def check(self) -> None:
        """Raises: what stopped the decoder, if anything did."""

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Wait until no latent is being decoded, and begin none meanwhile."""
        yield

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Let latents be delivered while the worker computes."""
        self.is_worker_computing = True
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()
            self.is_worker_computing = False


class DecoderThread(Decoder):
    """Decodes on a thread of its own, which delivers the frames itself as soon as they are ready."""

    is_beside = True

    def __init__(self, clock: Callable[[], float], wake: Callable[[], None], watchdog: Watchdog) -> None:
        """`wake` tells the worker that a latent was delivered, or could not be."""
        super().__init__()
        self.choose: Choose = lambda: None
        self._clock = clock
        self._wake = wake
        self._watchdog = watchdog
        self._job: tuple[DecodeQueue, Iterator[Frames]] | None = None
        self._is_resting = False
        self._is_closing = False
        self._fault: Exception | None = None
        self._thread = Thread(target=self._work, name="worldplay-decoder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop after the latent in progress, and wait for that. Without the lock."""
        with self.lock:
            self._is_closing = True
            self.lock.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def begin(self, queue: DecodeQueue) -> None:
        assert self._job is None, "one latent at a time"
        self._job, self.is_busy = (queue, queue.begin()), True
        self.lock.notify_all()

    def check(self) -> None:
        if self._fault is not None:
            raise self._fault

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        self._is_resting = True
        self.lock.wait_for(lambda: not self.is_busy)
        try:
            yield
        finally:
            self._is_resting = False

    def _work(self) -> None:
        with self.lock:
            try:
                while (job := self._wait_for_job()) is not None:
                    self._decode(*job)
                    self._go_on()
            except Exception as fault:  # the top of the thread: the engine itself failed, and will say so
                logger.exception("the decoder has stopped")
                self._fault = fault
                self._put_down()
        self._wake()

    def _wait_for_job(self) -> tuple[DecodeQueue, Iterator[Frames]] | None:
        self.lock.wait_for(lambda: self._is_closing or self._job is not None)
        return None if self._is_closing else self._job

    def _decode(self, queue: DecodeQueue, latents: Iterator[Frames]) -> None:
        """Decode a latent and deliver it. If that fails, the worker ends the session."""
        started_ms = self._clock()
        try:
            frames = self._compute(latents)
            queue.finish(frames, started_ms)
        except Exception as error:  # any error ends only this session
            logger.exception("session %d failed", queue.session.number)
            if queue.is_in_hand:  # otherwise the latents are no longer wanted
                self.failures.append((queue.session, code_of(error)))

    def _compute(self, latents: Iterator[Frames]) -> Frames:
        self.lock.release()
        try:
            with self._watchdog.watch():
                return next(latents)
        finally:
            self.lock.acquire()

    def _go_on(self) -> None:
        """Begin the next latent if it is due; otherwise the worker decides when."""
        self._put_down()
        following = None if self._is_resting or self._is_closing else self.choose()
        if following is not None:
            self.begin(following)
        self._wake()

    def _put_down(self) -> None:
        self._job, self.is_busy = None, False
        self.lock.notify_all()
