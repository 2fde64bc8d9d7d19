"""Tests that run alone, and those that run beside others."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.alone import turn
from support.paths import run_python

SOON_S = 0.2
LONG_S = 30.0


class Runner:
    """Takes a turn until it is told to leave. Two threads lock files as two processes would."""

    def __init__(self, folder: Path, alone: bool) -> None:
        self._folder, self._alone = folder, alone
        self._is_in, self._may_leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def is_in(self, within_s: float = LONG_S) -> bool:
        return self._is_in.wait(within_s)

    def leave(self) -> None:
        self._may_leave.set()
        self._thread.join(LONG_S)

    def _run(self) -> None:
        with turn(self._folder, alone=self._alone):
            self._is_in.set()
            self._may_leave.wait(LONG_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Runner]]:
    runners: list[Runner] = []

    def start(*, alone: bool) -> Runner:
        runners.append(Runner(tmp_path, alone))
        return runners[-1]

    yield start
    for runner in runners:
        runner.leave()


def test_tests_run_beside_each_other(start: Callable[..., Runner]) -> None:
    assert start(alone=False).is_in()
    assert start(alone=False).is_in()


@pytest.mark.parametrize("is_other_alone", [False, True])
def test_nothing_runs_beside_a_test_that_is_alone(start: Callable[..., Runner], is_other_alone: bool) -> None:
    first = start(alone=True)
    assert first.is_in()
    other = start(alone=is_other_alone)
    assert not other.is_in(SOON_S)
    first.leave()
    assert other.is_in()


def test_a_test_that_waits_to_be_alone_lets_nobody_in_before_it(start: Callable[..., Runner]) -> None:
    running = start(alone=False)
    assert running.is_in()
    alone = start(alone=True)
    assert not alone.is_in(SOON_S)
    late = start(alone=False)
    assert not late.is_in(SOON_S)
    running.leave()
    assert alone.is_in()
    assert not late.is_in(SOON_S)
    alone.leave()
    assert late.is_in()


def test_a_test_marked_so_runs_alone(tmp_path: Path) -> None:
    """Each process has a file of tests; both write when they began and ended."""
    for name, mark in (("beside", "timeout(60)"), ("alone", "alone")):
        lines = [
            "import json, pathlib, time, pytest",
            f"@pytest.mark.{mark}",
            "@pytest.mark.parametrize('number', range(4))",
            "def test_takes_time(number):",
            "    began = time.monotonic()",
            "    time.sleep(0.1)",
            "    times = json.dumps([began, time.monotonic()])",
            f"    (pathlib.Path(__file__).parent / f'{name}-{{number}}.json').write_text(times)",
        ]
        (tmp_path / f"test_{name}.py").write_text("\n".join(lines))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone")
    options = ["-n2", "--dist=loadscope", "-p", "support.alone", "-p", "no:schemathesis", "-q"]
    run_python("-m", "pytest", *options, str(tmp_path))
    runs = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert len(runs) == 8
    overlapping = [
        {one, other}
        for one, (began, ended) in runs.items()
        for other, (others_began, others_ended) in runs.items()
        if one < other and began < others_ended and others_began < ended
    ]
    assert overlapping == []
