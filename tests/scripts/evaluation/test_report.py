"""Results as JSON and Markdown."""

import json
from pathlib import Path

import pytest

from evaluation.report import Report, merge, read_results, render


def report(title: str, value: float) -> Report:
    return Report(
        title, "How.", [{"light": "day", "PSNR": value}, {"light": "dusk", "n": 3}], ["So."], {"x": [1]}
    )


def test_a_section_as_markdown(tmp_path: Path) -> None:
    results = merge(tmp_path / "results.json", {"weights": "ab12"}, "one", report("One", 24.46))
    assert render(results, ("one", "two")).splitlines() == [
        "### One",
        "",
        "How. (weights ab12)",
        "",
        "| light | PSNR | n |",
        "|---|---|---|",
        "| day | 24.5 |  |",
        "| dusk |  | 3 |",
        "",
        "* So.",
    ]


def test_sections_stay_until_they_are_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    merge(path, {}, "one", report("One", 1.0))
    merge(path, {}, "two", report("Two", 2.0))
    merge(path, {"weights": "new"}, "one", report("One", 3.0))
    sections = json.loads(path.read_text())["sections"]
    assert sections["one"]["rows"][0]["PSNR"] == 3.0
    assert sections["one"]["about"] == {"weights": "new"}
    assert sections["two"]["rows"][0]["PSNR"] == 2.0


@pytest.mark.parametrize("content", ["{", "[]", '{"sections": []}', '{"sections": {"vae": 1}}'])
def test_other_files_are_no_results(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results.json does not hold results: remove it or take another"):
        read_results(tmp_path / "results.json")


def test_sections_come_in_the_given_order(tmp_path: Path) -> None:
    merge(tmp_path / "r.json", {}, "b", report("B", 1.0))
    results = merge(tmp_path / "r.json", {}, "a", report("A", 1.0))
    text = render(results, ("a", "b"))
    assert text.index("### A") < text.index("### B")


def test_results_that_cannot_be_written_leave_the_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    merge(path, {}, "one", report("One", 1.0))
    before = path.read_text()
    (tmp_path / "results.partial").mkdir()  # as good as a full disk
    with pytest.raises(OSError, match="directory"):
        merge(path, {}, "one", report("One", 2.0))
    assert path.read_text() == before
