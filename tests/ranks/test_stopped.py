"""Processes that are stopped are found by their state, and only if they are stopped for long."""

import pathlib

from worldplay.ranks.stopped import MOST_LOOKS, StoppedProcesses


def write(proc: pathlib.Path, process: int, state: str) -> None:
    folder = proc / str(process)
    folder.mkdir(exist_ok=True)
    (folder / "stat").write_text(f"{process} (a (T) b) {state} 1 2 3")


def test_process_that_is_stopped_for_long_is_found(tmp_path: pathlib.Path) -> None:
    write(tmp_path, 11, "S")
    write(tmp_path, 12, "T")
    processes = StoppedProcesses({1: 11, 2: 12}, tmp_path)
    assert [processes.look() for _ in range(MOST_LOOKS + 1)] == [[]] * MOST_LOOKS + [[2]]


def test_process_that_goes_on_soon_is_not(tmp_path: pathlib.Path) -> None:
    write(tmp_path, 11, "T")
    processes = StoppedProcesses({1: 11}, tmp_path)
    for state in "TT":
        for _ in range(MOST_LOOKS):
            assert processes.look() == []
        write(tmp_path, 11, "R")
        assert processes.look() == []
        write(tmp_path, 11, state)


def test_nothing_is_found_where_there_is_nothing_to_read(tmp_path: pathlib.Path) -> None:
    write(tmp_path, 12, "")
    processes = StoppedProcesses({1: 11, 2: 12, 3: None}, tmp_path)
    assert [processes.look() for _ in range(2 * MOST_LOOKS)] == [[]] * 2 * MOST_LOOKS
