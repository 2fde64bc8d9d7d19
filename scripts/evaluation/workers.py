"""Runs the walks of a measurement in parallel, in processes of one thread each."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch

from evaluation.lab import Lab
from training.processes import end_with_parent
from worldplay.world.attention import set_attention
from worldplay.world.device import choose_device
from worldplay.world.embedded.load import find_embedded, load_embedded
from worldplay.world.pace import AUTO

EVERY_S = 2.0  # between two progress lines

P = ParamSpec("P")
Result = TypeVar("Result")

Job = Callable[Concatenate[Lab, P], Result]
Run = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[tuple[int, Any]]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where each process finds the world and keeps what it renders."""

    model: str  # 'embedded', or the path of a directory that holds a world
    device: str
    renders: Path


@cache
def open_lab(place: Place) -> Lab:
    """Open this process's lab, once. Raises: ValueError or OSError as `load_embedded`."""
    world = load_embedded(find_embedded(place.model), choose_device(place.device))
    return Lab(set_attention(world, AUTO), place.renders)


class Workers:
    """Runs jobs for many arguments, and prints the progress from time to time."""

    def __init__(self, lab: Lab, strips: Path, run: Run) -> None:
        """`lab` is this process's, `strips` the folder for pictures; `run` yields (index, result) pairs."""
        self.lab = lab
        self.strips = strips
        self._run = run

    def map(self, title: str, job: Job[P, Result], arguments: Sequence[tuple[Any, ...]]) -> list[Result]:
        """Run the job for each tuple of arguments. Returns: the results, in this order."""
        began, said, results = time.monotonic(), -EVERY_S, dict[int, Result]()
        for index, result in self._run(job, arguments):
            results[index] = result
            spent, done, total = time.monotonic() - began, len(results), len(arguments)
            if spent - said > EVERY_S or done == total:
                left = spent / done * (total - done)
                print(f"{title}: {done} of {total}, {spent:.0f} s, {left:.0f} s left", flush=True)
                said = spent
        return [results[index] for index in range(len(arguments))]


def here(lab: Lab, strips: Path) -> Workers:
    """Make workers that run one job after the other in this process."""
    return Workers(lab, strips, lambda job, arguments: ((i, job(lab, *a)) for i, a in enumerate(arguments)))


@contextmanager
def side_by_side(place: Place, strips: Path, processes: int) -> Iterator[Workers]:
    """Make workers that run jobs in processes of one thread each."""
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin) as pool:

        def run(job: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
            futures = {pool.submit(_carry_out, place, job, a): i for i, a in enumerate(arguments)}
            for future in as_completed(futures):
                yield futures[future], future.result()

        yield Workers(open_lab(place), strips, run)


def _begin() -> None:
    end_with_parent()
    torch.set_num_threads(1)


def _carry_out(place: Place, job: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    return job(open_lab(place), *arguments)


def fingerprint(model: str) -> str:
    """Hash the weights and the description of a world to 12 digits."""
    folder = find_embedded(model)
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("world.json")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
