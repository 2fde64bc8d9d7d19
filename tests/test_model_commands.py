"""The operator's commands for released models, as they are typed."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from worldplay import download
from worldplay.cli import app
from worldplay.download import HubFile, Source


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
    assert "Plan for 47.0 GB: fits" in said


def fake_hub(source: Source, target: Path, preview: bool) -> list[HubFile]:
    path = target / Path(source.patterns[0]).parent / "model.safetensors"
    present = path.is_file()
    if not preview:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"a": torch.zeros(1)}, path)
    return [HubFile(str(path.relative_to(target)), path.stat().st_size if path.is_file() else 68, present)]


def test_download_with_the_terms_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "reach_hugging_face", fake_hub)
    said, failure = run("download", "--variant", "ar-rl", "--yes", "--weights-dir", str(tmp_path))
    assert failure is None
    assert f"Complete: ar-rl in {tmp_path}" in said
    assert (tmp_path / "HY-WorldPlay/ar_rl_model/model.safetensors").is_file()


def test_download_without_anyone_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "reach_hugging_face", fake_hub)
    _, failure = run("download", "--weights-dir", str(tmp_path))
    assert str(failure) == "expected --yes, as there is no terminal to ask at"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("download", "--layout", "flat"), "expected a layout out of diffusers, original, got 'flat'"),
        (("download", "--variant", "wan"), "setting variant: Input should be 'ar-distilled'"),
        (("doctor", "--size", "480x830"), "expected sides in multiples of 16"),
        (("serve", "--model", "hy-worldplay", "--size", "big"), "setting size: String should match"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], said: str) -> None:
    _, failure = run(*arguments)
    assert isinstance(failure, ValueError)
    assert said in str(failure)
