"""What neighbours do to somebody's keys, on a fake clock: little, whatever they do or say."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from engine.test_cuts import BESIDE, ONE_CACHE, SINGLE, Mouse, Setup, Walker, open_theatre, walk


def press_beside(
    setup: Setup, kinds: Sequence[type[Walker]], seed: int = 1
) -> tuple[list[Walker], list[float]]:
    """Press on the first page, beside others. Returns: all pages, and its latencies in ms."""
    theatre, pages = open_theatre(setup, kinds)
    rng = random.Random(seed)
    for _ in range(60):
        theatre.run(400 + rng.random() * 700)
        pages[0].press()
    theatre.run(1500)
    return pages, pages[0].latencies_ms


@pytest.mark.parametrize(
    ("setup", "median", "p95"), [(BESIDE, 1.3, 1.3), (SINGLE, 1.3, 1.5), (ONE_CACHE, 1.45, 1.7)]
)
def test_key_is_seen_beside_a_neighbour_almost_as_soon_as_alone(
    setup: Setup, median: float, p95: float
) -> None:
    """Without a decoder's thread the neighbour's chunk takes 150 ms, in which nothing can be cut."""
    _, alone = press_beside(setup, [Walker])
    for neighbour in (Walker, Mouse):
        pages, beside = press_beside(setup, [Walker, neighbour])
        assert np.median(beside) <= median * np.median(alone), neighbour
        assert np.quantile(beside, 0.95) <= p95 * np.quantile(alone, 0.95), neighbour
        assert [page.stalled_ms for page in pages] == [0, 0], neighbour


@pytest.mark.parametrize("setup", [BESIDE, ONE_CACHE])
def test_what_a_neighbour_wishes_to_have_buffered_delays_nobody(setup: Setup) -> None:
    _, pages, before = walk(replace(setup, num_pages=2))
    _, pages, after = walk(replace(setup, num_pages=2), wishes_s=[setup.wanted_s, 0.7])
    mine = pages[0].latencies_ms
    assert np.median(mine) <= np.median(before) + 10
    assert np.quantile(mine, 0.95) <= np.quantile(before, 0.95) + 10
    assert len(after) > len(mine)
    assert [page.stalled_ms for page in pages] == [0, 0]


class Denier(Walker):
    """A page that always says that it has nothing buffered."""

    def tick(self) -> None:
        self._finish_encoding()
        self.play()
        self.session.playhead(self.shown_s, 0.0, self.hidden, self.wanted_s)
        self.next_ms += 100


def test_neighbour_that_denies_its_buffer_delays_nobody() -> None:
    latencies = []
    for neighbour in (Walker, Denier):
        walks = [press_beside(BESIDE, [Walker, neighbour], seed) for seed in range(2)]
        latencies.append(np.concatenate([times_ms for _, times_ms in walks]))
        assert [pages[0].stalled_ms for pages, _ in walks] == [0, 0]
    honest, beside = latencies
    assert np.median(beside) <= np.median(honest) + 30
    assert np.quantile(beside, 0.95) <= 1.3 * np.quantile(honest, 0.95)
