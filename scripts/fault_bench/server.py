"""A server process, and what it uses."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent.parent
START_S = 120.0
TASKS_S = 10.0
RESUME_S = 1  # for which servers keep the walk of a client that is away in memory


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses."""

    resident_mb: float
    threads: int  # without those of the event loop, which come when they are first needed, and stay
    files: int
    tasks: int  # of the event loop


class FaultServer:
    """`worldplay serve`, which also fails on request. It is killed when nobody holds it any more."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self._fault_file = folder / "fault"
        self._disk_file = folder / "disk"
        self._tasks_file = folder / "tasks"
        self.store = folder / "walks"
        self._log = folder / f"server{time.monotonic_ns()}.log"
        paths = [str(SCRIPTS), str(SCRIPTS.parent / "server"), os.environ.get("PYTHONPATH", "")]
        command = [sys.executable, str(SCRIPTS / "fault_bench" / "broken_server.py"), "serve", "--port", "0"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--max-sessions", "2", *arguments],
                stderr=log,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(paths),
                    "FAULT_FILE": str(self._fault_file),
                    "DISK_FILE": str(self._disk_file),
                    "TASKS_FILE": str(self._tasks_file),
                    "WORLDPLAY_STORE": str(self.store),
                    "WORLDPLAY_RECORDINGS": str(folder / "recordings"),
                    "WORLDPLAY_RESUME_S": str(RESUME_S),
                    **environment,
                },
            )
        weakref.finalize(self, self.process.kill)
        self.address = self._wait_started()

    def _wait_started(self) -> str:
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s and self.process.poll() is None:
            lines = [line for line in self.log.splitlines() if "ready, visitors at once" in line]
            if lines and "startup complete" in self.log:
                return lines[0].rpartition("http://")[2].strip()
            time.sleep(0.1)
        raise RuntimeError(f"the server did not start:\n{self.log}")

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"ws://{self.address}/ws"

    def plan_fault(self, stage: str, what: str) -> None:
        """Let this happen at a victim's next stage of this kind."""
        self._fault_file.write_text(f"{stage} {what}")

    def has_failed_as_planned(self) -> bool:
        return not self._fault_file.exists()

    def break_disk(self, error: str) -> None:
        """Let all writing to the disk fail with the error of this name, until `mend_disk`."""
        self._disk_file.write_text(error)

    def mend_disk(self) -> None:
        self._disk_file.unlink()

    def metric(self, name: str) -> float:
        """Read a metric; the name has its labels."""
        return next(value for key, value in self._metrics() if key == name)

    def metric_sum(self, name: str) -> float:
        """Add up a metric of all labels."""
        return sum(value for key, value in self._metrics() if key.startswith(f"{name}{{"))

    def _metrics(self) -> Iterator[tuple[str, float]]:
        for line in self.get("/metrics").decode().splitlines():
            if not line.startswith("#"):
                key, _, value = line.rpartition(" ")
                yield key, float(value)

    def get(self, path: str, timeout_s: float = 10.0) -> bytes:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=timeout_s) as answer:
            body: bytes = answer.read()
            return body

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.get("/health"))
        return answer

    def health_ms(self) -> float:
        began_s = time.monotonic()
        self.health()
        return (time.monotonic() - began_s) * 1000.0

    def usage(self) -> Usage:
        folder = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        num_tasks, loop_threads = self._count_tasks()
        return Usage(
            resident_mb=int(status["VmRSS"].split()[0]) / 1024,
            threads=int(status["Threads"]) - loop_threads,
            files=len(list((folder / "fd").iterdir())),
            tasks=num_tasks,
        )

    def _count_tasks(self) -> tuple[int, int]:
        """Return the numbers of the event loop's tasks and threads."""
        self._tasks_file.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        end_s = time.monotonic() + TASKS_S
        while not self._tasks_file.exists():
            if time.monotonic() > end_s:
                raise TimeoutError("the server does not tell how many tasks it has")
            time.sleep(0.01)
        tasks, threads = self._tasks_file.read_text().split()
        return int(tasks), int(threads)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 15.0) -> int:
        """Send a signal. Returns: the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
