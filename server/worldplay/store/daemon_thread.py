"""A thread that does tasks one after the other, and does not keep the process when the disk hangs."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TypeVar

T = TypeVar("T")


class DaemonThread:
    """Does tasks in order. Any thread may submit them."""

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._lock = Lock()
        self._is_started = self._is_closed = False

    def submit(self, task: Callable[..., T], *arguments: object) -> "Future[T]":
        """Do a task after those before it. Raises: RuntimeError if the thread is closed."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the thread is closed")
            self._tasks.put(partial(_fulfil, future, task, arguments))
            if not self._is_started:
                self._is_started = True
                self._thread.start()
        return future

    def close(self, timeout_s: float | None = None) -> bool:
        """Finish what was submitted, but wait no longer than this. Returns: whether all is done."""
        with self._lock:
            self._is_closed = True
            self._tasks.put(None)
        if self._is_started:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()


def _fulfil(future: "Future[T]", task: Callable[..., T], arguments: tuple[object, ...]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(task(*arguments))
    except Exception as error:  # noqa: BLE001 - the top of the thread; whoever waits gets it
        future.set_exception(error)
