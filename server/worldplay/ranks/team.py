"""Starts the other ranks, and ends all of them if one ends."""

import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep
from typing import NoReturn

import torch.distributed as dist

from worldplay.ranks.failure import Failure, describe_end, describe_failure
from worldplay.ranks.follower import CONSEQUENCE_S, follow
from worldplay.ranks.group import join_group, take_device
from worldplay.ranks.leader import Leader
from worldplay.ranks.orders import MakeModules, Order

CLOSING_S = 5.0  # until a rank that does not end is killed


@contextmanager
def lead(size: int, kind: str, make: MakeModules) -> Iterator[Leader]:
    """Start the other ranks, and lead them as rank 0. They end with the context.

    If one of them ends, this process ends, too: with one sentence and an exit code.

    Args:
        kind: 'cpu' (each rank is a process of one thread) or 'cuda' (each has a GPU).
        make: makes the networks of another rank; must be picklable.
    """
    team = _Team(size, kind)
    try:
        take_device(kind, 0)
        leader = Leader(size, team.tell, team.fail)
        leader.load(make)
        join_group(kind, 0, size, team.meeting)
        yield leader
    finally:
        team.close()
        if dist.is_initialized():
            dist.destroy_process_group()


class _Team:
    """The processes of the ranks 1 and up."""

    def __init__(self, size: int, kind: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="worldplay-ranks-")
        self._connections: dict[int, Connection] = {}
        self._processes: dict[int, BaseProcess] = {}
        self._size = size
        self._lock = Lock()  # held by the one that ends the team
        self._is_closing = False
        context = multiprocessing.get_context("spawn")
        for rank in range(1, size):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=follow, args=(theirs, rank, size, kind, self.meeting), daemon=True, name=f"rank {rank}"
            )
            process.start()
            theirs.close()
            self._connections[rank], self._processes[rank] = ours, process
        Thread(target=self._watch, name="worldplay-ranks", daemon=True).start()

    @property
    def meeting(self) -> str:
        return str(Path(self._folder, "meeting"))

    def tell(self, order: Order) -> None:
        for connection in self._connections.values():
            connection.send(order)

    def fail(self, error: Exception) -> NoReturn:
        """End all ranks because rank 0 has failed."""
        failure = describe_failure(error)
        if failure.may_be_a_consequence or isinstance(error, ConnectionError):
            sleep(2 * CONSEQUENCE_S)  # if another rank has ended, this process ends meanwhile
        with self._lock:
            if not self._is_closing:
                self._exit(0, failure)
        raise error

    def close(self) -> None:
        """End the other ranks."""
        with self._lock:
            self._is_closing = True
        for connection in self._connections.values():
            connection.close()
        ends = monotonic() + CLOSING_S
        for process in self._processes.values():
            process.join(max(0.0, ends - monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self) -> None:
        """Wait until a rank ends."""
        ranks = {process.sentinel: rank for rank, process in self._processes.items()}
        ready = wait(list(ranks))
        ended = [rank for sentinel, rank in ranks.items() if sentinel in ready]
        with self._lock:
            if not self._is_closing:
                self._exit(ended[0], self._explain(ended[0]))

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
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(failure.code)
