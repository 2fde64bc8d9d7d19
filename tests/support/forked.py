"""Processes that have imported PyTorch and the package already: forks of a process that did only that.

The same code started anew spends most of its time on importing. Ranks that such a process starts are forked
in the same way, where the package would start them anew.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import _forkserver as forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

PRELOADED = ["worldplay.loading", "worldplay.sizing", "worldplay.web.app", "support.ranks"]


def start_forked(
    run: Callable[..., None], *arguments: object, said: Path, environment: Mapping[str, str]
) -> BaseProcess:
    """Run a function of a module. What it writes to stderr goes to the file `said`."""
    said.touch()
    process = _start_server().Process(target=_run, args=(run, arguments, said, dict(environment)))
    process.start()
    return process


@contextmanager
def forking() -> Iterator[None]:
    """Fork what would be started anew."""
    context, get_context = _start_server(), multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: context  # type: ignore[assignment]
    try:
        yield
    finally:
        multiprocessing.get_context = get_context


def _start_server() -> ForkServerContext:
    """Start the process that is forked, now: forks have what its parent's thread blocks of signals then."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()
    return context


def _run(
    run: Callable[..., None], arguments: tuple[object, ...], said: Path, environment: dict[str, str]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(said, os.O_WRONLY | os.O_APPEND), 2)
    multiprocessing.get_context = _always_fork  # type: ignore[assignment]
    forkserver.ensure_running = _do_nothing  # type: ignore[method-assign]  # it runs: this process is from it
    run(*arguments)


def _always_fork(method: str | None = None) -> ForkServerContext:
    return ForkServerContext()


def _do_nothing() -> None:
    pass
