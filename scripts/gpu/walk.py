"""Walks through the real server, in a process of its own: the embedded world, and random weights."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import TextIO

from gpu.setup import MINIATURE, Row, Setup
from gpu.visit import describe_visit
from worldplay.client.visit import Visit

STOP_S = 15.0
_READY = re.compile(r"\bready\b.*(http://\S+)")


def measure_embedded_walk(setup: Setup) -> Iterator[Row]:
    """Walk in the embedded world: `worldplay serve`."""
    yield from _walk(setup, ["-m", "worldplay", "serve", "--port", "0", "--max-sessions", "1"])


def measure_walk(setup: Setup) -> Iterator[Row]:
    """Walk with random weights of the released sizes."""
    number = str(setup.scale.sizes.index(setup.size))
    miniature = ["--miniature"] if setup.scale is MINIATURE else []
    yield from _walk(setup, ["-m", "gpu.serve_random", "--number", number, *miniature])


def _walk(setup: Setup, command: Sequence[str]) -> Iterator[Row]:
    began = perf_counter()
    with serving([*command, "--device", str(setup.device)]) as url:
        yield {"walk": "server ready", "s": perf_counter() - began}
        for name, plays in (("as fast as it comes", False), ("at the speed of the video", True)):
            visit = Visit(plays=plays)
            visit.walk(url, setup.scale.walk_s)
            yield {"walk": name, **describe_visit(visit, plays=plays)}


@contextmanager
def serving(command: Sequence[str]) -> Iterator[str]:
    """Run a server until the block ends; what it says goes to standard error. Yields: its URL."""
    paths = os.pathsep.join(str(Path(each).resolve()) for each in sys.path)
    environment = {**os.environ, "PYTHONPATH": paths}
    found: SimpleQueue[str | None] = SimpleQueue()
    with subprocess.Popen(
        [sys.executable, *command], stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        reader = threading.Thread(target=_read, args=(server.stderr, found))
        reader.start()
        try:
            url = found.get()
            if url is None:
                raise RuntimeError(f"the server ended with exit code {server.wait()}")
            yield url
        finally:
            server.terminate()
            reader.join(STOP_S)
            server.kill()


def _read(lines: TextIO, found: "SimpleQueue[str | None]") -> None:
    """Pass on what the server says, and find its URL; None if it ended."""
    for line in lines:
        sys.stderr.write(line)
        if match := _READY.search(line):
            found.put(match[1])
    found.put(None)
