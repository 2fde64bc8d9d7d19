"""Stores under a clock that only the test moves."""

import time
from pathlib import Path

from support.waiting import Clock
from worldplay.store.about import About
from worldplay.store.files import Files
from worldplay.store.store import Store

DAY_S = 24 * 3600.0
OWNER = "an owner's secret"


def make_store(folder: Path | str, quota_bytes: int = 10**6, now: Clock | None = None) -> Store:
    """Make a store under a clock that passes evenly."""
    clock = now or Clock(time.time())
    return Store(Files(str(folder)), quota_bytes, 30 * DAY_S, clock, monotonic=clock)


def has_left(folder: Path, session: str) -> bool:
    """Return whether the store has it that the client of a session will not come back."""
    return About.model_validate_json((folder / session / "about.json").read_bytes()).state == "left"
