"""A circle and a quarter in few chunks, for tests of what is measured along it."""

import pytest

from evaluation import levers


def shorten_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the walks of `levers` turn three times as fast: 7 chunks instead of 20."""
    monkeypatch.setattr(levers, "LOOP_DEG", 18.0)
    monkeypatch.setattr(levers, "CHUNKS", 7)
    monkeypatch.setattr(levers, "SHOWN", (0, 3, 6))
