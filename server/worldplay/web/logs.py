"""Logging: lines name their client, are text or JSON, and are left out if too many are alike."""

import json
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from typing import Literal

MOST_OF_A_KIND = 20  # lines from one place in the code, in WINDOW_S
WINDOW_S = 10.0
TEXT_FORMAT = "%(asctime)s %(levelname)-7s [%(client)s] %(name)s: %(message)s"

client_id: ContextVar[str] = ContextVar("client_id", default="-")
_numbers = count(1)


def begin_client(kind: Literal["request", "socket"]) -> None:
    """Give what follows in this task an identifier, which all its log lines show."""
    client_id.set(f"{kind}-{next(_numbers)}")


def setup_logs(level: str, kind: Literal["text", "json"]) -> None:
    """Configure logging for the process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if kind == "json" else logging.Formatter(TEXT_FORMAT))
    for each in (_add_client, has_no_url, LineLimit(time.monotonic)):
        handler.addFilter(each)
    logging.basicConfig(handlers=[handler], force=True)
    set_level(level)


def set_level(level: str) -> None:
    """Log from a level on. Libraries never log below `info`, where they show messages, headers and URLs."""
    logging.getLogger("worldplay").setLevel(level.upper())
    logging.getLogger().setLevel(max(logging.INFO, logging.getLogger("worldplay").level))


def _add_client(record: logging.LogRecord) -> bool:
    record.client = client_id.get()
    return True


def has_no_url(record: logging.LogRecord) -> bool:
    """Leave out uvicorn's lines about requests and WebSockets: they show URLs, which may hold a secret."""
    is_about_socket = record.name == "uvicorn.error" and '"WebSocket ' in str(record.msg)
    return record.name != "uvicorn.access" and not is_about_socket


class LineLimit:
    """Leaves out lines of a kind that comes too often, and says later how many. For all threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_s = clock()
        self._counts: dict[tuple[str, str], int] = {}
        self._left_out = 0

    def __call__(self, record: logging.LogRecord) -> bool:
        if self._clock() - self._began_s >= WINDOW_S:
            self._begin_window(record)
        kind = (record.name, str(record.msg))
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] > MOST_OF_A_KIND:
            self._left_out += 1
            return False
        return True

    def _begin_window(self, record: logging.LogRecord) -> None:
        if self._left_out:
            record.msg = f"{record.getMessage()} ({self._left_out} similar lines were left out before)"
            record.args = ()
        self._began_s, self._counts, self._left_out = self._clock(), {}, 0


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{record.msecs:03.0f}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "client": record.__dict__.get("client", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)
