"""Finds processes that somebody has stopped (SIGSTOP): they do not end, and let all others wait for ever."""

from collections.abc import Mapping
from pathlib import Path

PROC = Path("/proc")
MOST_LOOKS = 6  # in a row at which a process may be stopped: who stops all ranks at once continues them so

_STOPPED = b"T"


class StoppedProcesses:
    """Looks at the states of processes. Systems without /proc tell none, so nothing is found there.

    It counts looks, not seconds: while this process is stopped itself, the others may be, too.
    """

    def __init__(self, processes: Mapping[int, int | None], proc: Path = PROC) -> None:
        """Args: processes: a name for each, and its id."""
        self._stats = {name: proc / str(process) / "stat" for name, process in processes.items()}
        self._looks = dict.fromkeys(processes, 0)

    def look(self) -> list[int]:
        """Look again. Returns: the names of those that are stopped for long."""
        for name, stat in self._stats.items():
            self._looks[name] = self._looks[name] + 1 if _read_state(stat) == _STOPPED else 0
        return [name for name, looks in self._looks.items() if looks > MOST_LOOKS]


def _read_state(stat: Path) -> bytes | None:
    """Read a process's state from its `stat`: it follows the command, which is in brackets."""
    try:
        return stat.read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):  # it has ended, or there is no /proc
        return None
