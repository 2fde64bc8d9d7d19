"""Chooses samples and contexts: when they are wanted, or ahead in processes of their own, for a GPU."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.batch import Moment
from training.generate import Contexts, choose_contexts
from training.latent_walks import WalkTable
from training.processes import serve_parent
from training.prompt_book import PromptBook
from training.samples import Request, Sampler

Poses = NDArray[np.float64]  # [T, 4, 4]
Drawn = tuple[Request, list[Moment]]


class Drawing(Protocol):
    def draw(self, ask: Callable[[], Request]) -> Drawn:
        """Return a request, perhaps an earlier one, with its samples."""
        ...

    def choose_contexts(self, walks: Iterable[Poses], num_chunks: int) -> list[Contexts]:
        """Choose the contexts of walks, as `generate` needs them."""
        ...

    def close(self) -> None: ...


class DrawnHere(Drawing):
    """Draws in this process, when asked."""

    def __init__(self, walks: WalkTable, prompts: PromptBook) -> None:
        self._sampler = Sampler(walks, prompts)

    def draw(self, ask: Callable[[], Request]) -> Drawn:
        request = ask()
        return request, self._sampler.choose(request)

    def choose_contexts(self, walks: Iterable[Poses], num_chunks: int) -> list[Contexts]:
        return [choose_contexts(num_chunks, c2w) for c2w in walks]

    def close(self) -> None:
        """Nothing is held."""


class DrawnAhead(Drawing):
    """Draws in other processes, two requests ahead for each."""

    def __init__(self, walks: WalkTable, prompts: PromptBook, processes: int) -> None:
        self._ahead = 2 * processes
        forkserver = get_context("forkserver")
        # Importing PyTorch in each takes long. Python 3.11 would not find a module of ours there.
        forkserver.set_forkserver_preload(["torch"])
        self._pool = ProcessPoolExecutor(processes, forkserver, initializer=_begin, initargs=(walks, prompts))
        self._asked: deque[tuple[Request, Future[list[Moment]]]] = deque()

    def draw(self, ask: Callable[[], Request]) -> Drawn:
        while len(self._asked) <= self._ahead:
            request = ask()
            self._asked.append((request, self._pool.submit(_choose, request)))
        request, chosen = self._asked.popleft()
        return request, chosen.result()

    def choose_contexts(self, walks: Iterable[Poses], num_chunks: int) -> list[Contexts]:
        return list(self._pool.map(partial(choose_contexts, num_chunks), walks))

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)


_here: list[Sampler] = []  # of a process of the pool


def _begin(walks: WalkTable, prompts: PromptBook) -> None:
    serve_parent()
    _here.append(Sampler(walks, prompts))


def _choose(request: Request) -> list[Moment]:
    return _here[0].choose(request)
