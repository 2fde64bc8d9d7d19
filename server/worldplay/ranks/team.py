"""Starts the other ranks, and ends all of them if one ends, hangs or is stopped."""

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep
from typing import NoReturn

from worldplay.ranks.failure import (
    HUNG,
    STOPPED,
    STUCK,
    Failure,
    MeetingError,
    describe_end,
    describe_failure,
)
from worldplay.ranks.follower import CONSEQUENCE_S, SENT_TO_ALL, follow
from worldplay.ranks.group import join_group, leave_group, take_device
from worldplay.ranks.leader import Leader
from worldplay.ranks.orders import MakeModules, Order
from worldplay.ranks.stopped import StoppedProcesses
from worldplay.ranks.waiting import Waiting

KILLING_S = 3.0  # at most, until killed processes are gone: a GPU's memory may take a while
IS_NAMED_S = 2 * CONSEQUENCE_S  # if another rank has ended, this process ends meanwhile and names it
TICK_S = 0.5  # between two looks at the processes' states

_LEFT_OVER = "ignore:resource_tracker:UserWarning"  # as an option of the interpreter


@contextmanager
def lead(size: int, kind: str, make: MakeModules, longest_wait_s: float = inf) -> Iterator[Leader]:
    """Start the other ranks, and lead them as rank 0. They end with the context.

    If one of them ends, hangs or is stopped, this process ends, too: with one sentence and an exit code.

    Args:
        kind: 'cpu' (each rank is a process of one thread) or 'cuda' (each has a GPU).
        make: makes the networks of another rank; must be picklable.
        longest_wait_s: rank 0 waits so long for the others without any progress, once they have loaded.
    """
    team = _Team(size, kind, Waiting(longest_wait_s))
    try:
        team.start()
        take_device(kind, 0)
        leader = Leader(size, kind, team.tell, team.fail, team.waiting)
        leader.load(make)
        try:
            join_group(kind, 0, size, team.meeting)
        except MeetingError:
            sleep(IS_NAMED_S)
            raise
        yield leader
    finally:
        team.close()


class _Team:
    """The processes of the ranks 1 and up."""

    def __init__(self, size: int, kind: str, waiting: Waiting) -> None:
        self.waiting = waiting
        self._folder = tempfile.mkdtemp(prefix="worldplay-ranks-")
        self._connections: dict[int, Connection] = {}
        self._processes: dict[int, BaseProcess] = {}
        self._size = size
        self._kind = kind
        self._lock = Lock()  # held by the one that ends the team
        self._is_closing = False

    def start(self) -> None:
        """Start the processes, and watch them from now on."""
        _start_tracker()
        for rank in range(1, self._size):
            with _signals_blocked():
                self._start(rank)
        Thread(target=self._watch, name="worldplay-ranks", daemon=True).start()

    def _start(self, rank: int) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, rank, self._size, self._kind, self.meeting)
        process = context.Process(target=follow, args=arguments, daemon=True, name=f"rank {rank}")
        process.start()
        theirs.close()
        self._connections[rank], self._processes[rank] = ours, process

    @property
    def meeting(self) -> str:
        return str(Path(self._folder, "meeting"))

    def tell(self, order: Order) -> None:
        for connection in self._connections.values():
            connection.send(order)

    def fail(self, error: Exception) -> NoReturn:
        """End all ranks because rank 0 has failed."""
        failure = describe_failure(error, serves=True)
        if failure.may_be_a_consequence or isinstance(error, ConnectionError):
            sleep(IS_NAMED_S)
        self._end_all(0, lambda rank: failure)
        raise error

    def close(self) -> None:
        """End the other ranks. They have nothing to finish, and one that is stopped ends only if killed."""
        with self._lock:
            self._is_closing = True
        self._kill()
        for connection in self._connections.values():
            connection.close()
        if not leave_group():
            self._exit(0, STUCK)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _kill(self) -> None:
        for process in self._processes.values():
            process.kill()
        ends = monotonic() + KILLING_S
        for process in self._processes.values():
            process.join(max(0.0, ends - monotonic()))

    def _watch(self) -> None:
        """Wait until a rank ends, hangs or is stopped."""
        ranks = {process.sentinel: rank for rank, process in self._processes.items()}
        stopped = StoppedProcesses({rank: process.pid for rank, process in self._processes.items()})
        while not self._is_closing:
            ended = [ranks[sentinel] for sentinel in wait(list(ranks), TICK_S) if isinstance(sentinel, int)]
            for rank in ended:
                self._end_all(rank, self._explain)
            for rank in stopped.look():
                self._end_all(rank, lambda rank: STOPPED)
            if self.waiting.look(TICK_S):
                self._end_all(0, lambda rank: HUNG)

    def _end_all(self, rank: int, explain: Callable[[int], Failure]) -> None:
        with self._lock:
            if not self._is_closing:
                self._exit(rank, explain(rank))

    def _explain(self, rank: int) -> Failure:
        connection, process = self._connections[rank], self._processes[rank]
        with suppress(EOFError, OSError):  # it ended without a word
            said = connection.recv()
            assert isinstance(said, Failure), said
            return said
        process.join()
        return describe_end(process.exitcode)

    def _exit(self, rank: int, failure: Failure) -> NoReturn:
        """End this process, though other threads may be waiting in an exchange. The other ranks follow."""
        sys.stderr.write(f"worldplay: rank {rank} of {self._size} {failure.reason}\n")
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # other threads may fail now, of the same cause
        self._kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(failure.code)


def _start_tracker() -> None:
    """Start multiprocessing's process that removes what others have left; later it would unblock signals.

    Ranks are killed, so a compiler in them leaves something. That is removed, but nobody needs to know.
    """
    sys.warnoptions.append(_LEFT_OVER)
    resource_tracker.ensure_running()
    sys.warnoptions.remove(_LEFT_OVER)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block what is sent to all processes. A process that is started inherits that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SENT_TO_ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
