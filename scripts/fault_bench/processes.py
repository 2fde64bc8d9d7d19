"""Lets the browser's processes stand still, as on a machine that sleeps or starves."""

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path


def browser_processes(kind: str = "") -> list[int]:
    """Chromium's processes that this test process started; `kind` is that of `--type=`, or empty for all."""
    parents = {pid: _parent(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}
    ours = [pid for pid in parents if _descends(pid, os.getpid(), parents)]
    return [pid for pid in ours if _is_browser(pid, kind)]


def stand_still(pids: Iterable[int], seconds: float) -> None:
    stopped = list(pids)
    assert stopped, "found no process to stop"
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended meanwhile
        return 0


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid not in (0, ancestor):
        pid = parents.get(pid, 0)
    return pid == ancestor


def _is_browser(pid: int, kind: str) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
    return "chrom" in arguments.split("\0")[0] and (not kind or f"--type={kind}" in arguments)
