"""What a run says about itself, also after it was killed."""

from pathlib import Path

import pytest

from training.progress import Progress, say_each


def test_curves_are_drawn_from_a_log_that_ends_in_the_middle_of_a_line(tmp_path: Path) -> None:
    progress = Progress(tmp_path, "vae")
    progress.report(1, 0.5, 60.0, {"loss": 2.0})
    with (tmp_path / "vae.jsonl").open("a") as log:
        log.write('{"step": 2, "lo')
    progress.draw()
    assert (tmp_path / "vae.png").stat().st_size > 1000


def test_a_forgotten_log_begins_anew(tmp_path: Path) -> None:
    for step in (1, 2):
        progress = Progress(tmp_path, "text")
        progress.forget()
        progress.report(step, 0.5, 60.0, {})
    assert (tmp_path / "text.jsonl").read_text().count("step") == 1


def test_every_walk_is_said_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 30.0, 60.0])
    monkeypatch.setattr("training.progress.time.monotonic", lambda: next(clock))
    say_each("rendered", [7, 9], 2)
    assert capsys.readouterr().out.splitlines() == [
        "rendered 7 (1 of 2)  0.5 min left",
        "rendered 9 (2 of 2)  0.0 min left",
    ]
