"""What a table says of the walks."""

import numpy as np
import pytest

from evaluation.metrics import Scores
from evaluation.rollouts import DAY, MORE, Outcome, _findings, _row


def test_a_walk_that_looks_at_a_plain_wall_does_not_decide_the_sharpness() -> None:
    nothing = np.zeros((1, 2, 2, 3), np.uint8)
    outcomes = {
        (index, DAY, "as served"): Outcome([Scores(psnr, 0.5, 0.1, sharpness, psnr, sharpness)], nothing)
        for index, (psnr, sharpness) in enumerate([(20.0, 0.5), (22.0, 300.0), (27.0, 0.6)])
    }
    assert _row(outcomes, "sharpness", DAY, "as served")["0"] == 0.6
    assert _row(outcomes, "psnr", DAY, "as served")["0"] == pytest.approx(23)


def test_sharpness_is_told_of_all_walks_and_of_the_worse_ones() -> None:
    def walk(sharpness: float) -> Outcome:
        score = Scores(20.0, 0.5, 0.1, sharpness, 20.0, sharpness)
        return Outcome([score] * 4, np.zeros((1, 2, 2, 3), np.uint8))

    outcomes = {(0, DAY, "as served"): walk(1.0)} | {
        (index, DAY, MORE.name): walk(sharpness) for index, sharpness in enumerate([0.5, 0.7, 0.8, 300.0], 1)
    }
    assert _findings(outcomes)[2] == (
        "Sharpness of all 5 walks, their median, and below which a quarter of them are: chunk 1 0.80, 0.70; "
        "chunk 2 0.80, 0.70; chunk 3 0.80, 0.70."
    )


def test_mean_of_early_chunks_is_over_long_and_short_walks() -> None:
    def walk(*psnr: float) -> Outcome:
        return Outcome(
            [Scores(one, 0.5, 0.1, 0.5, one + 1, 0.5) for one in psnr], np.zeros((1, 2, 2, 3), np.uint8)
        )

    outcomes = {
        (0, DAY, "as served"): walk(9, 20, 20, 20, 9),
        (1, DAY, MORE.name): walk(9, 21, 22, 23),
        (2, DAY, MORE.name): walk(9, 24, 24, 24),
    }
    assert _findings(outcomes)[:2] == [
        "Chunks 1 to 3 of all 3 walks: 22.0 dB, standard error 1.2 dB.",
        "Chunks 1 to 3 of all 3 walks at half size: 23.0 dB, standard error 1.2 dB.",
    ]
