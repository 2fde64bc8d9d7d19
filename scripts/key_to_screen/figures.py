"""The arithmetic and the wording of the measurement: medians, agreement, histogram."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

BIN_MS = 50
ROUNDING_MS = 1.0  # of the times of animation frames
BAR_WIDTH = 50


@dataclass(frozen=True, slots=True)
class Press:
    """A key press that reached the screen: its time by the page, and by the pixels.

    A busy page misses animation frames, so the pixels prove only that the picture came between two times.
    """

    page_ms: float
    earliest_ms: float
    pixels_ms: float  # the later one

    @property
    def open_ms(self) -> float:
        """Return how far apart the two times are."""
        return self.pixels_ms - self.earliest_ms

    @property
    def middle_difference_ms(self) -> float:
        """Return how much later the page says than the middle of the two times; negative if earlier."""
        return self.page_ms - (self.earliest_ms + self.pixels_ms) / 2

    @property
    def difference_ms(self) -> float:
        """Return how much later the page says than the pixels allow; negative if earlier."""
        if self.page_ms < self.earliest_ms:
            return self.page_ms - self.earliest_ms
        return max(0.0, self.page_ms - self.pixels_ms)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a list of times comes to."""

    median_ms: float
    p95_ms: float
    least_ms: float
    most_ms: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the page's figures are from those of the pixels, in ms; positive if the page's are larger.

    A press is compared with the middle of the times between which the pixels prove that the picture came.
    """

    median_ms: float
    p95_ms: float  # of the absolute differences, as are the others
    most_ms: float
    display_frame_ms: float
    open_ms: float = 0.0  # p95 of what the pixels leave open
    num_outside: int = 0  # presses for which the page says a time at which the pixels prove otherwise

    @property
    def holds(self) -> bool:
        """Return whether they agree within one display frame, and the pixels are as exact as that."""
        return self.is_within and self.is_exact

    @property
    def is_within(self) -> bool:
        return max(abs(self.median_ms), self.p95_ms) <= self.display_frame_ms

    @property
    def is_exact(self) -> bool:
        """Return whether the pixels leave no more than one display frame open."""
        return self.open_ms <= self.display_frame_ms + ROUNDING_MS

    @property
    def verdict(self) -> str:
        if self.is_within and not self.is_exact:
            return "may agree, but the pixels are not exact enough to tell it"
        return "agree" if self.holds else "DO NOT agree"


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile, by nearest rank."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def figures(times_ms: Sequence[float]) -> Figures:
    return Figures(statistics.median(times_ms), p95(times_ms), min(times_ms), max(times_ms))


def agreement(presses: Sequence[Press], display_frame_ms: float) -> Agreement:
    differences = [press.middle_difference_ms for press in presses]
    absolute = [abs(difference) for difference in differences]
    return Agreement(
        statistics.median(differences),
        p95(absolute),
        max(absolute),
        display_frame_ms,
        p95([press.open_ms for press in presses]),
        sum(press.difference_ms != 0 for press in presses),
    )


def histogram(times_ms: Sequence[float]) -> list[tuple[int, int]]:
    """Count the times in bins of BIN_MS. Returns: start and count of each, without gaps."""
    bins = [int(time_ms // BIN_MS) for time_ms in times_ms]
    return [(number * BIN_MS, bins.count(number)) for number in range(min(bins), max(bins) + 1)]


def render(presses: Sequence[Press], agreed: Agreement) -> str:
    """Word the whole measurement for a terminal."""
    by_page, by_pixels = figures([p.page_ms for p in presses]), figures([p.pixels_ms for p in presses])
    lines = [
        f"{len(presses)} presses, key to screen in ms",
        _row("by pixels", by_pixels),
        _row("by the page", by_page),
    ]
    lines.append(
        f"page minus pixels: median {agreed.median_ms:+.1f}, p95 {agreed.p95_ms:.1f}, "
        f"most {agreed.most_ms:.1f}: they {agreed.verdict} within one display frame "
        f"({agreed.display_frame_ms:.1f})"
    )
    lines.append(
        f"the pixels leave up to {agreed.open_ms:.1f} ms open (p95), and the middle of that is compared; "
        f"the page is outside of it in {agreed.num_outside} of {len(presses)} presses"
    )
    return "\n".join([*lines, "", *_bars(histogram([p.pixels_ms for p in presses]))])


def render_parts(splits: Sequence[dict[str, float]]) -> str:
    """Word where the time of the median press went, by the page."""
    by_total = sorted(splits, key=lambda split: sum(split.values()))
    split = by_total[len(splits) // 2]
    parts = ", ".join(f"{part} {ms:.0f}" for part, ms in split.items())
    return f"by the page, the median press: {parts}; together {sum(split.values()):.0f}"


def as_json(presses: Sequence[Press], agreed: Agreement) -> dict[str, object]:
    """Return everything that `render` words, and each press."""
    by_pixels = [press.pixels_ms for press in presses]
    return {
        "by_pixels": asdict(figures(by_pixels)),
        "by_page": asdict(figures([press.page_ms for press in presses])),
        "page_minus_pixels": {**asdict(agreed), "agree": agreed.holds},
        "histogram": histogram(by_pixels),
        "presses": [asdict(press) for press in presses],
    }


def _row(name: str, found: Figures) -> str:
    return (
        f"{name:12} median {found.median_ms:4.0f}   p95 {found.p95_ms:4.0f}"
        f"   least {found.least_ms:4.0f}   most {found.most_ms:4.0f}"
    )


def _bars(bins: list[tuple[int, int]]) -> list[str]:
    most = max(count for _, count in bins)
    return [
        f"{start:4d}-{start + BIN_MS:<4d} {count:3d} {'#' * round(BAR_WIDTH * count / most)}".rstrip()
        for start, count in bins
    ]
