"""Whether one colour fills the view, on pictures of which it is known."""

from pathlib import Path

import numpy as np
import pytest

from evaluation import minutes
from evaluation.lab import Lab
from support.tiny_world import make_world


def test_a_frame_is_filled_if_hardly_any_pixel_differs() -> None:
    frames = np.full((4, 20, 20, 3), 100, np.uint8)
    frames[1, 0, :] = 200  # 5 % of its pixels
    frames[2, 0, :] = 200
    frames[2, 1, 0] = 200
    frames[3, :9, :, 2] = 120  # nearly half of them differ, in one channel
    assert minutes.are_filled(frames).tolist() == [True, True, False, False]


def test_every_frame_of_the_walk_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minutes, "CHUNKS", 2)
    minute = minutes.run_minute(Lab(make_world(), tmp_path), 0)
    assert (len(minute.filled), len(minute.looks)) == (13 + 16, minutes.LOOKS)
