"""`worldplay bench --url`: walks in several sessions of a running server, and reports what it delivered."""

import json
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path

from worldplay.client.delivery import Delivery, describe, describe_all, render
from worldplay.client.visit import Visit
from worldplay.client.wire import VisitEndedError, find_socket

logger = logging.getLogger(__name__)

SESSIONS = 1
SECONDS = 20.0


def run(url: str, sessions: int, seconds: float, token: str | None, json_file: Path | None) -> bool:
    """Walk, print a table and, if a file is given, write the numbers to it.

    Returns: whether every session walked to the end.
    Raises: ValueError for a wrong URL.
    """
    address = find_socket(url)
    visits = [Visit(token=token) for _ in range(sessions)]
    ends = _walk_together(visits, address, seconds)
    rows = [describe(visit, ended) for visit, ended in zip(visits, ends, strict=True)]
    together = describe_all(visits)
    sys.stdout.write(f"{_introduce(address, visits)}; {sessions} at once for {seconds:g} s\n\n")
    sys.stdout.write(render(rows, together))
    if json_file is not None:
        json_file.write_text(json.dumps(_list_numbers(address, visits, rows, together), indent=1) + "\n")
    return not any(ends)


def _walk_together(visits: Sequence[Visit], address: str, seconds: float) -> list[str | None]:
    """Walk at once. Ctrl-C ends all visits. Returns: why each ended early, if it did."""
    with ThreadPoolExecutor(len(visits)) as pool:
        walks = [pool.submit(_walk, visit, address, seconds) for visit in visits]
        try:
            wait(walks)
        except KeyboardInterrupt:
            for visit in visits:
                visit.leave()
        return [walk.result() for walk in walks]


def _walk(visit: Visit, address: str, seconds: float) -> str | None:
    """Walk. Returns: why the visit ended early, in one sentence; None if it did not."""
    try:
        visit.walk(address, seconds)
    except VisitEndedError as error:
        return str(error)
    except Exception as error:  # the numbers of the other sessions must not be lost
        logger.debug("a session failed", exc_info=True)
        return f"internal error of this client: {type(error).__name__}: {error}"
    return None


def _introduce(address: str, visits: Sequence[Visit]) -> str:
    for visit in visits:
        if welcome := visit.welcome:
            width, height = welcome.size
            return f"{address}: {welcome.model} at {height}x{width}, {welcome.fps:g} frames/s"
    return address


def _list_numbers(
    address: str, visits: Sequence[Visit], rows: Sequence[Delivery], together: Delivery
) -> dict[str, object]:
    welcome = next((visit.welcome for visit in visits if visit.welcome), None)
    return {
        "url": address,
        "model": welcome and welcome.model,
        "size": welcome and list(welcome.size),
        "fps": welcome and welcome.fps,
        "sessions": [asdict(row) for row in rows],
        "together": asdict(together),
    }
