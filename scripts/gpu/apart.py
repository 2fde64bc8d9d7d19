"""Runs a measurement in a process of its own, which can be started ahead: it imports, then waits."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress

GO = b"go\n"


class Apart:
    """A process with its own group, so that what it has started ends with it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Start Python with these arguments; it must wait for a line before it measures."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # open until `read_log`
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=self._errors,
            stderr=self._errors,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, limit_s: float) -> int | None:
        """Let it measure. Returns: its exit code, or None if it was not done in time."""
        try:
            self._process.communicate(GO, timeout=limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.end()
        return self._process.returncode

    def end(self) -> None:
        """End the process and what it has started."""
        with suppress(ProcessLookupError):  # all may have ended
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def read_log(self) -> str:
        """Read what it wrote to standard output and error. It cannot be read again."""
        with self._errors as errors:
            errors.seek(0)
            return errors.read().decode(errors="replace")
