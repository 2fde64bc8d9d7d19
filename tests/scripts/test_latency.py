"""What the key-to-screen measurement refuses, and how it ends if there is nothing to measure."""

from pathlib import Path

import pytest

import latency
from key_to_screen.visit import UnmeasurableError, check_size


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--count", "0"),
        ("--hold", "nan"),
        ("--hold", "-5"),
        ("--hold", "inf"),
        ("--limit", "-1"),
        ("--limit", "nan"),
        ("--limit", "0"),
        ("--url", "127.0.0.1:8000"),
        ("--url", "http://"),
        ("--url", "ws://127.0.0.1/"),
        ("--url", "http://[::1/"),
        ("--url", "http://127.0.0.1:99999/"),
        ("--json", "/proc/none/latency.json"),
        ("--json", "."),
    ],
)
def test_impossible_option_is_named_before_anything_is_measured(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        latency.parse([f"{option}={value}"])
    assert ended.value.code == 2
    assert f"expected {option}" in capsys.readouterr().err


def test_file_for_the_figures_is_left_alone_until_they_are_known(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("{}")
    for path in (old, new):
        latency.parse(["--json", str(path)])
    assert old.read_text() == "{}"
    assert not new.exists()


def test_nothing_to_measure_is_told_apart_from_figures_that_do_not_agree(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> None:
        raise UnmeasurableError("expected a page at http://127.0.0.1:1/, got: refused")

    monkeypatch.setattr(latency, "visiting", fail)
    assert latency.main([]) == 2
    assert capsys.readouterr().err == "latency.py: expected a page at http://127.0.0.1:1/, got: refused\n"


def test_picture_that_is_too_small_is_refused() -> None:
    check_size(64, 48)
    with pytest.raises(UnmeasurableError, match="at least 64x48, got 62x48"):
        check_size(62, 48)
