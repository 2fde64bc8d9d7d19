"""Writes the recordings of all sessions on a thread of its own, so that a slow or full disk delays nobody."""

import logging
from collections import Counter
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

from worldplay.store.about import hash_key
from worldplay.store.recordings import CLEAN_EVERY_S, Recordings
from worldplay.store.tape import EndReason, Tape

logger = logging.getLogger(__name__)


class Recorder:
    """Makes the tapes of sessions, and writes them one after the other."""

    def __init__(self, recordings: Recordings) -> None:
        self.recordings = recordings
        self.ended: Counter[EndReason] = Counter()  # recordings that ended before their walks
        self._tasks: SimpleQueue[Tape | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="recordings", daemon=True)  # it may hang with the disk

    def start(self) -> None:
        """Write from now on, and remove what has expired."""
        self._thread.start()

    def open(self, id: str, secret: str, goes_on: bool, tell: Callable[[EndReason], None]) -> Tape:
        """Make a session's tape. Args: as Tape's."""

        def tell_and_count(reason: EndReason) -> None:
            self.ended[reason] += 1
            tell(reason)

        return Tape(self.recordings, id, hash_key(secret), goes_on, tell_and_count, self._tasks.put)

    def close(self, timeout_s: float) -> None:
        """Write what was put before, unless it takes longer."""
        self._tasks.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        tape: Tape | None = None
        while True:
            self._tick()
            try:
                tape = self._tasks.get(timeout=CLEAN_EVERY_S)
            except Empty:
                continue
            if tape is None:
                return
            tape.write()

    def _tick(self) -> None:
        try:
            self.recordings.tick()
        except OSError as error:
            logger.warning("the recordings could not be cleaned up: %s", error)
