"""`worldplay models`, and the operator's other commands as they are typed."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.fake_hub import FakeHub
from support.published import SHAPES
from worldplay.cli import app
from worldplay.commands import list_models
from worldplay.hub import client as hub
from worldplay.world.released.variants import VARIANTS, find_variant

DISTILLED = find_variant("ar-distilled")


def test_models_that_are_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_models.run(tmp_path)
    said = capsys.readouterr().out
    assert "embedded                       ready" in said
    assert (
        "hy-worldplay ar-distilled      absent      38 GB    46 to 85 GB  4 steps, for walking live" in said
    )
    assert said.count(" absent ") == len(VARIANTS)


def test_model_that_is_complete(tmp_path: Path, layouts: dict[str, Path]) -> None:
    for root in layouts.values():
        assert all(known.problem is None for known in list_models.list_models(root, SHAPES))


def test_model_that_is_damaged(
    tmp_path: Path, layouts: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "weights"
    shutil.copytree(layouts["diffusers"], root)
    (root / "HY-WorldPlay/ar_rl_model/model.safetensors").write_bytes(b"")
    list_models.run(root, SHAPES)
    said = capsys.readouterr().out
    assert said.count(" ready ") == 1
    assert said.count(" present ") == 3
    assert "`worldplay doctor --check` finds out\nwhether the model also loads." in said
    assert "ar-rl: " in said
    assert "ar_rl_model/model.safetensors is damaged or incomplete" in said.splitlines()[-1]
    assert f"run `worldplay download --variant ar-rl --weights-dir {root}`" in said.splitlines()[-1]
    assert list_models.find_file_problem(DISTILLED, root, SHAPES) is None


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("tokenizer/tokenizer.json", '{"version"', r"tokenizer/tokenizer.json is not JSON \(.*\)"),
        ("tokenizer/tokenizer.json", None, "tokenizer/tokenizer.json is missing"),
        ("text_encoder_2/config.json", "", r"text_encoder_2/config.json is not JSON \(.*\)"),
        ("feature_extractor/preprocessor_config.json", None, "preprocessor_config.json is missing"),
    ],
)
def test_small_file_that_is_damaged(
    tmp_path: Path, layouts: dict[str, Path], name: str, content: str | None, problem: str
) -> None:
    shutil.copytree(layouts["diffusers"], tmp_path / "weights")
    path = tmp_path / "weights/HunyuanVideo-1.5-Diffusers-480p_i2v" / name
    path.unlink() if content is None else path.write_text(content)
    found = list_models.find_file_problem(DISTILLED, tmp_path / "weights", SHAPES)
    assert found is not None
    assert re.fullmatch(f".*{problem}; run `worldplay download .*`", found)


def test_weights_of_another_size(layouts: dict[str, Path]) -> None:
    found = list_models.find_file_problem(DISTILLED, layouts["diffusers"])
    assert found is not None
    assert "model.safetensors lacks " in found


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


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_doctor_for_a_model_that_is_not_there(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    said, failure = run("doctor", *arguments, "--device", "cpu", "--weights-dir", str(tmp_path))
    assert failure is None
    assert re.search(r"files    \S+ is missing .*; run `worldplay download --variant ar-distilled ", said)


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
    assert str(failure) == "expected --yes, because there is no terminal to ask for consent"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("download", "--layout", "flat"), "unknown layout 'flat'; expected one of diffusers, original"),
        (("download", "--variant", "wan"), "setting variant: expected 'ar-distilled'"),
        (("doctor", "--size", "480x830"), "expected sides in multiples of 16"),
        (("doctor", "--device", "mps"), "expected a device like 'cpu', 'cuda' or 'cuda:0', got 'mps'"),
        (("doctor", "--device", "cuda:99"), "expected a device of this machine, got 'cuda:99'"),
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
