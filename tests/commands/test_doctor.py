"""What the operator's commands say about models and memory."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from support.published import TRANSFORMER, VAE
from worldplay.commands.doctor import Machine, count_sessions, examine, report
from worldplay.commands.list_models import find_problem, list_models, run
from worldplay.world.frames import SIZE
from worldplay.world.released.memory_estimate import Shapes, count_needs
from worldplay.world.released.variants import VARIANTS, find_variant

H100 = Machine("H100", 84_000_000_000, 85_000_000_000, 256_000_000_000, 10**12)
SHAPES = Shapes(TRANSFORMER, VAE)
DISTILLED = find_variant("ar-distilled")


def test_models_that_are_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path)
    said = capsys.readouterr().out
    assert "embedded                       ready" in said
    assert (
        "hy-worldplay ar-distilled      absent      38 GB    46 to 85 GB  4 steps, for walking live" in said
    )
    assert said.count(" absent ") == len(VARIANTS)


def test_model_that_is_complete(tmp_path: Path, layouts: dict[str, Path]) -> None:
    for root in layouts.values():
        assert all(known.problem is None for known in list_models(root, SHAPES))


def test_model_that_is_damaged(
    tmp_path: Path, layouts: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "weights"
    shutil.copytree(layouts["diffusers"], root)
    (root / "HY-WorldPlay/ar_rl_model/model.safetensors").write_bytes(b"")
    run(root, SHAPES)
    said = capsys.readouterr().out
    assert said.count("ready") == 4
    assert "ar-rl: " in said
    assert "ar_rl_model/model.safetensors is damaged or incomplete" in said.splitlines()[-1]
    assert f"run `worldplay download --variant ar-rl --weights-dir {root}`" in said.splitlines()[-1]
    assert find_problem(DISTILLED, root, SHAPES) is None


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("tokenizer/tokenizer.json", '{"version"', r"tokenizer/tokenizer.json is not JSON \(.*\)"),
        ("tokenizer/tokenizer.json", None, "tokenizer/tokenizer.json is missing"),
        ("text_encoder_2/config.json", "", r"text_encoder_2/config.json is not JSON \(.*\)"),
        ("feature_extractor/preprocessor_config.json", None, "preprocessor_config.json is missing"),
        (
            "feature_extractor/preprocessor_config.json",
            "{}",
            r"preprocessor_config.json makes no pictures for the encoder, which takes .*",
        ),
    ],
)
def test_small_file_that_is_damaged(
    tmp_path: Path, layouts: dict[str, Path], name: str, content: str | None, problem: str
) -> None:
    shutil.copytree(layouts["diffusers"], tmp_path / "weights")
    path = tmp_path / "weights/HunyuanVideo-1.5-Diffusers-480p_i2v" / name
    path.unlink() if content is None else path.write_text(content)
    found = find_problem(DISTILLED, tmp_path / "weights", SHAPES)
    assert found is not None
    assert re.fullmatch(f".*{problem}; run `worldplay download .*`", found)


def test_weights_of_another_size(layouts: dict[str, Path]) -> None:
    found = find_problem(DISTILLED, layouts["diffusers"])
    assert found is not None
    assert "model.safetensors lacks " in found


def test_report_for_a_large_gpu() -> None:
    said = "\n".join(report(H100, DISTILLED, SIZE, 84_000_000_000, None, 4))
    assert "GPU      H100, 84.0 GB of 85.0 GB free" in said
    assert "files    all there" in said
    assert "20: 27.6 GB" in said
    assert "Plan for 84.0 GB\n  serve, 4 at once and a clip: fits, 80.1 GB at most" in said
    assert "  render: fits, 79.6 GB at most" in said
    assert "moved to the GPU while used" in said.split("render")[0]
    assert "  480x832     79.6 GB   34.9 GB  11" in said


def test_report_for_a_small_gpu() -> None:
    said = "\n".join(report(H100, DISTILLED, (352, 640), 20_000_000_000, "x is missing", 4))
    assert "Plan for 20.0 GB\n  serve, 1 at once and a clip, as there is no room for 4: DOES NOT FIT" in said
    assert "files    x is missing" in said
    assert "KV cache       stored raw" in said


def test_report_has_one_plan_where_both_are_alike() -> None:
    said = "\n".join(report(H100, DISTILLED, SIZE, 800_000_000_000, None, 4))
    assert "serve, 4 at once" in said
    assert "render" not in said


def test_report_for_clips_only() -> None:
    said = "\n".join(report(H100, find_variant("bidirectional"), SIZE, 84_000_000_000, None, 4))
    assert "no KV cache: every step reads the whole clip" in said
    assert "serve and render, a clip at a time: fits, 44.7 GB at most" in said
    assert "visitors         none: it cannot be walked, it makes clips" in said
    assert "both branches" not in said
    assert "480x832     44.7 GB    0.0 GB  fits" in said


def test_report_without_a_gpu() -> None:
    lines = list(report(Machine(None, 0, 0, 10**10, 10**12), DISTILLED, SIZE, None, None, 4))
    assert lines[0] == "GPU      none"
    assert lines[-1].startswith("Without a GPU only the embedded world runs.")


def test_report_for_a_gpu_that_others_have_filled() -> None:
    said = "\n".join(report(H100, DISTILLED, SIZE, 0, None, 4))
    assert "Plan for 0.0 GB\n  serve, 1 at once and a clip, as there is no room for 4: DOES NOT FIT" in said


def test_this_machine(tmp_path: Path) -> None:
    machine = examine(torch.device("cpu"), tmp_path / "not" / "yet")
    assert machine.gpu is None
    assert machine.memory > 10**8
    assert machine.disk_free > 0


def test_sessions_are_those_the_plan_accepts() -> None:
    needs = count_needs(DISTILLED)
    assert count_sessions(needs, DISTILLED, 30_000_000_000) == 0
    assert count_sessions(needs, DISTILLED, 200_000_000_000) > count_sessions(
        needs, DISTILLED, 80_000_000_000
    )
