"""What a table says of the walks."""

import numpy as np
import pytest

from evaluation.metrics import Scores
from evaluation.rollouts import DAY, Outcome, _row


def test_a_walk_that_looks_at_a_plain_wall_does_not_decide_the_sharpness():
    nothing = np.zeros((1, 2, 2, 3), np.uint8)
    outcomes = {
        (index, DAY, "as served"): Outcome([Scores(psnr, 0.5, 0.1, sharpness)], nothing)
        for index, (psnr, sharpness) in enumerate([(20.0, 0.5), (22.0, 300.0), (27.0, 0.6)])
    }
    assert _row(outcomes, "sharpness", DAY, "as served")["0"] == 0.6
    assert _row(outcomes, "psnr", DAY, "as served")["0"] == pytest.approx(23)
