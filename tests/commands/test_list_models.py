"""The operator's commands for released models, as they are typed."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.fake_hub import FakeHub
from worldplay.cli import app
from worldplay.hub import client as hub


def run(*arguments: str) -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(app, arguments)
    return result.output, result.exception


def test_models(tmp_path: Path) -> None:
    said, failure = run("models", "--weights-dir", str(tmp_path))
    assert failure is None
    assert "hy-worldplay bidirectional" in said


def test_doctor_for_another_machine(tmp_path: Path) -> None:
    said, failure = run(
        "doctor", "--memory", "48", "--size", "352x640", "--device", "cpu", "--weights-dir", str(tmp_path)
    )
    assert failure is None
    assert "hy-worldplay ar-distilled at 352x640" in said
    assert re.search(r"Plan for 47.0 GB\n  serve, 4 at once and a clip: fits, ", said)


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HuggingFace", FakeHub)


@pytest.mark.usefixtures("fake_hub")
def test_download_with_the_terms_accepted(tmp_path: Path) -> None:
    said, failure = run("download", "--variant", "ar-rl", "--yes", "--weights-dir", str(tmp_path))
    assert failure is None
    assert f"Complete: ar-rl in {tmp_path}" in said
    assert (tmp_path / "HY-WorldPlay/ar_rl_model/model.safetensors").is_file()


@pytest.mark.usefixtures("fake_hub")
def test_download_without_anyone_to_ask(tmp_path: Path) -> None:
    _, failure = run("download", "--weights-dir", str(tmp_path))
    assert str(failure) == "expected --yes, as there is no terminal to ask at"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("download", "--layout", "flat"), "expected a layout out of diffusers, original, got 'flat'"),
        (("download", "--variant", "wan"), "setting variant: expected 'ar-distilled'"),
        (("doctor", "--size", "480x830"), "expected sides in multiples of 16"),
        (
            ("serve", "--model", "hy-worldplay", "--size", "big"),
            "setting size: expected a size like 480x832",
        ),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], said: str) -> None:
    _, failure = run(*arguments)
    assert isinstance(failure, ValueError)
    assert said in str(failure)
