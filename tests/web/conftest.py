"""A send queue in which few frames fit."""

import pytest

from support.sent import MAX_CHUNKS
from worldplay.web import send_queue


@pytest.fixture
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three chunks of two frames wait."""
    monkeypatch.setattr(send_queue, "MAX_WAITING_FRAMES", 2 * MAX_CHUNKS)
