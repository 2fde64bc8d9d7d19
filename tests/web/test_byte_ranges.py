"""Range headers: which bytes they want."""

import pytest

from worldplay.web.byte_ranges import UnsatisfiableError, read_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=0-9", range(10)),
        ("Bytes=2-", range(2, 10)),
        ("bytes=2-99999", range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        ("bytes= 9-9 ", range(9, 10)),
    ],
)
def test_range_is_read(header: str, wanted: range) -> None:
    assert read_range(header, 10) == wanted


@pytest.mark.parametrize(
    "header", [None, "", "bytes", "bytes=", "bytes=-", "bytes=3-2", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1"]
)
def test_other_headers_want_everything(header: str | None) -> None:
    assert read_range(header, 10) is None


def test_number_without_end_wants_everything() -> None:
    assert read_range(f"bytes={'9' * 5000}-", 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_range_behind_the_end_is_refused(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        read_range(header, 10)
