"""Which truth is nearest."""

import numpy as np
import pytest

from evaluation.actions import confuse

TRUTHS = np.stack([np.full((1, 4, 4, 3), value, np.uint8) for value in (0, 100, 200)])
DIFFERENT = np.eye(3, dtype=bool)


def test_the_right_one_leads_by_its_margin() -> None:
    confusion = confuse(TRUTHS + np.uint8(10), TRUTHS, np.arange(3), DIFFERENT)
    np.testing.assert_allclose(confusion.own_db, 28.13, atol=0.01)
    np.testing.assert_allclose(confusion.margin_db, [19.08, 19.08, 20.83], atol=0.01)
    assert confusion.rival.tolist() == [1, 2, 1]


def test_a_confused_one_names_its_rival() -> None:
    confusion = confuse(TRUTHS[[2]], TRUTHS, np.array([1]), DIFFERENT)
    assert confusion.margin_db[0] < -50
    assert confusion.rival.tolist() == [2]


def test_combinations_that_end_alike_are_one() -> None:
    equal = DIFFERENT.copy()
    equal[1, 2] = equal[2, 1] = True
    confusion = confuse(TRUTHS[[2]], TRUTHS, np.array([1]), equal)
    assert confusion.own_db[0] == 99
    assert confusion.margin_db[0] == pytest.approx(99 - 2.11, abs=0.01)
