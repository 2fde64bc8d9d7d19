"""The keys that are drawn over a clip."""

import numpy as np
import pytest

from worldplay.clips.key_overlay import draw_keys, keys_of


@pytest.mark.parametrize(
    ("label", "keys"), [(0, ""), (9, "w"), (36, "a"), (10, "w→"), (5 * 9 + 8, "wd←↓"), (80, "sa←↓")]
)
def test_labels_are_keys(label: int, keys: str) -> None:
    assert keys_of(label) == set(keys)


def test_pressed_keys_are_bright() -> None:
    frames = np.full((2, 96, 160, 3), 128, np.uint8)
    drawn = draw_keys(frames, 9)
    assert drawn.shape == frames.shape
    assert (drawn[0] == drawn[1]).all()
    assert drawn[0].max() > 230
    assert draw_keys(frames, 0)[0].max() == 128
    assert (drawn[:, :48] == 128).all()


def test_large_keys_bear_letters() -> None:
    drawn = draw_keys(np.zeros((1, 480, 832, 3), np.uint8), 9)[0]
    key = drawn[480 - 24 - 2 * 48 : 480 - 24 - 48, 24 + 48 : 24 + 2 * 48]
    assert key.max() > 200
    assert (key[10:38, 10:38] == 0).any()  # a W on white
