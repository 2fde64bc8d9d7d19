"""How the processes of a run end: with the one that started them, and not before it."""

import os
import signal
from collections.abc import Callable
from multiprocessing import parent_process
from threading import Thread


def end_with_parent() -> None:
    """Get SIGTERM when the parent is gone, even if it was killed.

    Otherwise this process would go on, and write to the same files as the next run.
    """
    _watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))


def serve_parent() -> None:
    """Leave signals that all of a run's processes get, as by Ctrl-C or `timeout`, to the parent.

    It still needs this process to finish what it does and to save it.
    """
    os.setpgid(0, 0)
    _watch_parent(lambda: os._exit(1))


def _watch_parent(end: Callable[[], object]) -> None:
    parent = parent_process()
    assert parent is not None, "only for processes that multiprocessing starts"

    def watch() -> None:
        parent.join()
        end()

    Thread(target=watch, daemon=True).start()
