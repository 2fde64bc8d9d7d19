"""The arithmetic of the key-to-screen measurement, compared with literals."""

import json

import pytest

from key_to_screen.figures import (
    Press,
    agreement,
    as_json,
    figures,
    histogram,
    p95,
    render,
    render_parts,
)


def press(page_ms: float, pixels_ms: float) -> Press:
    return Press(page_ms, pixels_ms, pixels_ms)


def test_figures_are_median_and_nearest_rank() -> None:
    found = figures([float(number) for number in range(100, 0, -1)])
    assert (found.median_ms, found.p95_ms, found.least_ms, found.most_ms) == (50.5, 95.0, 1.0, 100.0)
    assert p95([7.0]) == 7.0


def test_histogram_counts_from_the_first_bin_in_use_to_the_last() -> None:
    assert histogram([149.9, 150.0, 199.9, 260.0]) == [(100, 1), (150, 2), (200, 0), (250, 1)]


@pytest.mark.parametrize(
    ("page_ms", "difference_ms"), [(290.0, -10.0), (300.0, 0.0), (317.0, 0.0), (340.0, 6.0)]
)
def test_difference_is_the_distance_to_what_the_pixels_allow(page_ms: float, difference_ms: float) -> None:
    assert Press(page_ms, earliest_ms=300.0, pixels_ms=334.0).difference_ms == difference_ms


def test_figures_agree_within_one_display_frame() -> None:
    agreed = agreement([press(301.0, 300.0), press(299.0, 300.0), press(280.0, 290.0)], 16.7)
    assert (agreed.median_ms, agreed.p95_ms, agreed.most_ms, agreed.holds) == (-1.0, 10.0, 10.0, True)
    assert not agreement([press(280.0, 300.0)], 16.7).holds


def test_press_is_compared_with_the_middle_of_what_the_pixels_leave_open() -> None:
    """A tolerance beside an interval would accept twice a display frame."""
    early, late = Press(284.0, 300.0, 316.0), Press(332.0, 300.0, 316.0)
    assert agreement([early, late], 16.7).p95_ms == 24.0
    assert not agreement([early, late], 16.7).holds
    assert agreement([Press(308.0, 300.0, 316.0)], 16.7).holds
    assert agreement([early, Press(300.0, 300.0, 316.0)], 16.7).num_outside == 1


def test_pixels_that_leave_much_open_prove_no_agreement() -> None:
    presses = [Press(320.0, 300.0, 340.0)] * 3
    assert not agreement(presses, 16.7).holds
    assert "leave up to 40.0 ms open" in render(presses, agreement(presses, 16.7))


def test_report_says_by_how_much_they_differ() -> None:
    presses = [press(210.0, 212.0), press(310.0, 330.0)]
    told = render(presses, agreement(presses, 16.7))
    assert "by pixels    median  271   p95  330" in told
    assert "page minus pixels: median -11.0, p95 20.0, most 20.0: they DO NOT agree" in told
    assert told.splitlines()[-1] == " 300-350    1 " + 50 * "#"


def test_parts_are_those_of_the_median_press() -> None:
    splits = [
        {"wait": 100.0, "display": 10.0},
        {"wait": 300.0, "display": 12.0},
        {"wait": 120.0, "display": 11.0},
    ]
    assert render_parts(splits) == "by the page, the median press: wait 120, display 11; together 131"


def test_json_holds_each_press() -> None:
    presses = [press(210.0, 212.0)]
    told = json.loads(json.dumps(as_json(presses, agreement(presses, 16.7))))
    assert told["presses"] == [{"page_ms": 210.0, "earliest_ms": 212.0, "pixels_ms": 212.0}]
    assert told["page_minus_pixels"]["agree"]
    assert told["histogram"] == [[200, 1]]
