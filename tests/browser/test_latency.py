"""The key-to-screen measurement against the embedded world, in short."""

import json
from pathlib import Path

import pytest

from support.paths import REPOSITORY, run_python

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(300)]


def test_page_and_pixels_tell_of_the_same_presses(server: str, tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    script = str(REPOSITORY / "scripts" / "latency.py")
    done = run_python(
        script,
        "--url",
        f"http://{server}/",
        "--count",
        "4",
        "--limit",
        "90",
        "--json",
        str(path),
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(path.read_text())
    assert len(told["presses"]) + told["not_seen"] == 4
    assert abs(told["page_minus_pixels"]["median_ms"]) <= 2 * told["page_minus_pixels"]["display_frame_ms"]
    assert "by pixels" in done.stdout
    assert done.returncode == (0 if told["page_minus_pixels"]["agree"] else 1)
    assert len(told["presses"]) <= len(told["splits"]) <= 4  # the page splits what pixels missed, too
