"""What `worldplay doctor` says of this machine, of memory, and of a model's files."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.published import SHAPES
from worldplay import cli
from worldplay.commands import doctor
from worldplay.commands.doctor import (
    CHECKED,
    PRESENT,
    Machine,
    check_everything,
    describe_files,
    examine,
    report,
    run,
)
from worldplay.commands.list_models import find_file_problem
from worldplay.settings import load_settings
from worldplay.world.frames import SIZE
from worldplay.world.gpus import Gpu
from worldplay.world.model_files import TINY_DECODER
from worldplay.world.released.files import ACTION_MODELS
from worldplay.world.released.memory_estimate import estimate_memory
from worldplay.world.released.offload_plan import count_sessions
from worldplay.world.released.variants import find_variant

H100 = Machine(Gpu("H100", 84_000_000_000, 85_000_000_000), 256_000_000_000, 10**12)
DISTILLED = find_variant("ar-distilled")
DIFFUSERS = "HunyuanVideo-1.5-Diffusers-480p_i2v"


@pytest.fixture
def root(tmp_path: Path, layouts: dict[str, Path]) -> Path:
    """A copy of the diffusers layout, to be damaged."""
    shutil.copytree(layouts["diffusers"], tmp_path / "weights")
    return tmp_path / "weights"


@pytest.mark.parametrize("check", [False, True])
def test_files_that_are_looked_at_and_files_that_are_checked(
    root: Path, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    monkeypatch.setattr(
        doctor, "find_file_problem", lambda variant, folder: find_file_problem(variant, folder, SHAPES)
    )
    monkeypatch.setattr(
        doctor, "check_everything", lambda variant, folder: check_everything(variant, folder, SHAPES)
    )
    assert describe_files(DISTILLED, root, check=check) == (CHECKED if check else PRESENT)
    (root / f"{DIFFUSERS}/feature_extractor/preprocessor_config.json").write_text("{}")
    problem = "preprocessor_config.json makes no pictures for the encoder"
    assert (problem in describe_files(DISTILLED, root, check=check)) is check


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "feature_extractor/preprocessor_config.json",
            "{}",
            r"preprocessor_config.json makes no pictures for the encoder, which takes .*",
        ),
        ("tokenizer/tokenizer.json", "{}", r"tokenizer.json makes no Qwen2Tokenizer \(.*\)"),
        ("text_encoder/config.json", '{"model_type": "t5"}', "config.json describes a T5Config, not a .*"),
        ("image_encoder/config.json", '{"model_type": "x"}', r"config.json does not describe an encoder .*"),
        ("vae/diffusion_pytorch_model.safetensors", "", "is damaged or incomplete .*"),
    ],
)
def test_what_the_check_finds(root: Path, name: str, content: str, problem: str) -> None:
    assert check_everything(DISTILLED, root, SHAPES) is None
    (root / DIFFUSERS / name).write_text(content)
    found = check_everything(DISTILLED, root, SHAPES)
    assert found is not None
    assert re.fullmatch(f".*{problem}; run `worldplay download .*`", found)


def test_report_for_a_large_gpu() -> None:
    said = "\n".join(report(H100, DISTILLED, SIZE, 84_000_000_000, PRESENT, 4))
    assert "GPU      H100, 84.0 GB of 85.0 GB free" in said
    assert f"files    {PRESENT}" in said
    assert "20: 27.6 GB" in said
    assert "Plan for 84.0 GB\n  serve, 4 at once and a clip: fits, 80.9 GB at most" in said
    assert "  render: fits, 80.1 GB at most" in said
    assert "moved to the GPU while used" in said.split("render")[0]
    assert "  480x832     80.1 GB   35.2 GB  0.0 min  11" in said


def test_report_says_how_long_context_is_kept() -> None:
    said = "\n".join(report(H100, DISTILLED, (240, 416), 140_000_000_000, PRESENT, 4))
    assert "more caches      40.5 GB, in what is left: 5 walks keep their context" in said
    assert "other tiers      keep context of the latest 0.2 minutes of each" in said
    assert "  240x416     48.6 GB   10.1 GB  1.4 min  71" in said


def test_report_says_what_keeping_context_takes() -> None:
    machine = replace(H100, memory=64_000_000_000)
    said = report(machine, DISTILLED, (352, 640), 83_500_000_000, PRESENT, 4, tiny_decoder=True)
    assert (
        "  other tiers      keep context of the latest 0.1 minutes of each, for 1 at once\n"
        "                   with encoders and text stream moved to the GPU while used\n"
    ) in "\n".join(said)


def test_report_says_where_sessions_share_one_cache() -> None:
    said = "\n".join(report(H100, DISTILLED, SIZE, 84_000_000_000, PRESENT, 4))
    assert "more caches      none: sessions that take turns encode their context again" in said
    assert "other tiers      keep no context: memory is short" in said


def test_report_for_eight_gpus() -> None:
    lines = list(report(H100, DISTILLED, SIZE, 83_000_000_000, "present", 4, ranks=8))
    said = "\n".join(lines)
    assert "hy-worldplay ar-distilled at 480x832, on rank 0 of 8" in said
    assert re.search(r"KV cache +4.4 GB", said)
    assert re.search(r"exchange +3.3 GB  NCCL's buffers, an estimate", said)
    assert "serve, 4 at once and a clip: fits" in said
    assert re.search(r"more caches +17.6 GB, in what is left: 5 walks keep their context", said)
    assert re.search(r"other ranks +38.7 GB each at most, without text stream and encoders", said)
    assert "GPU 1" not in said
    assert "other tiers      keep context of the latest 0.2 minutes of each" in said
    assert "  480x832     45.8 GB    4.4 GB  1.1 min" in said


def test_report_for_a_tiny_decoder() -> None:
    """It takes the place of the model's own, so more sessions fit."""
    own, tiny = (
        "\n".join(report(H100, DISTILLED, SIZE, 83_000_000_000, "present", 4, ranks=8, tiny_decoder=tiny))
        for tiny in (False, True)
    )
    assert re.search(r"autoencoder +2.5 GB\n", own)
    assert re.search(r"autoencoder +0.8 GB  a tiny decoder shows the latents\n", tiny)
    assert re.search(r"each session +0.2 GB  ", tiny)
    assert re.search(
        r"other ranks +35.1 GB each at most, without text stream, encoders and autoencoder\n", tiny
    )
    assert "takes about 38.0 GB" in own
    assert "takes about 38.0 GB" in tiny


@pytest.mark.parametrize(
    ("tier", "is_there", "tiny"), [("fast", True, True), ("fast", False, False), ("exact", True, False)]
)
def test_tiny_decoder_is_counted_where_it_is_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tier: str,
    is_there: bool,
    tiny: bool,
) -> None:
    monkeypatch.setattr(doctor, "find_gpu", lambda device, visible: H100.gpu)
    if is_there:
        (tmp_path / TINY_DECODER).parent.mkdir()
        (tmp_path / TINY_DECODER).touch()
    run(load_settings(weights_dir=tmp_path, tier=tier), None, check=False)
    said = capsys.readouterr().out
    assert ("a tiny decoder shows the latents" in said) is tiny
    missing = (
        f"The tiny decoder of this tier is not there: {tmp_path / TINY_DECODER}; see docs/performance.md\n"
    )
    assert (missing in said) is (tier == "fast" and not is_there)
    run(load_settings(weights_dir=tmp_path, tier=tier), 80.0, check=False)
    assert "a tiny decoder" not in capsys.readouterr().out


def test_folder_that_is_served_is_the_one_that_is_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "find_gpu", lambda device, visible: H100.gpu)
    served, empty = tmp_path / "served", tmp_path / "empty"
    (served / TINY_DECODER).parent.mkdir(parents=True)
    (served / TINY_DECODER).touch()
    (served / ACTION_MODELS).mkdir()
    run(load_settings(model=str(served), weights_dir=empty, tier="fast"), None, check=False)
    said = capsys.readouterr().out
    assert "a tiny decoder shows the latents" in said
    assert str(served) in said
    assert str(empty) not in said


@pytest.mark.parametrize(
    ("free", "sets", "others"),
    [
        (60, 5, "GPU 3 has only 60.0 GB free, which the plan counts"),
        (40, 4, "GPU 3 has only 40.0 GB free, which the plan counts"),
        (24, 1, "GPU 3 has only 24.0 GB free, which the plan counts"),
        (
            20,
            1,
            "DOES NOT FIT: GPU 3 has only 20.0 GB free, its rank needs 22.1 GB; stop what else uses it, or",
        ),
    ],
)
def test_report_names_a_gpu_that_others_use(free: int, sets: int, others: str) -> None:
    machine = replace(H100, free={1: 84_000_000_000, 3: free * 1_000_000_000})
    said = "\n".join(report(machine, DISTILLED, SIZE, 83_000_000_000, "present", 4, ranks=8))
    assert others in said
    assert "GPU 1" not in said
    assert ("encode their context again" in said) is (sets == 1)
    assert (f"{sets} walks keep their context" in said) is (sets > 1)
    assert ("other tiers      keep no context: memory is short" in said) is (free < 40)
    assert ("keep context of the latest 0.1 minutes of each, for 3 at once" in said) is (free == 40)


def test_gpus_of_other_ranks_are_examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [Gpu("H100", free, 85) for free in (80, 70, 60, 50)]
    monkeypatch.setattr(doctor, "list_gpus", lambda visible: gpus)
    monkeypatch.setattr(doctor, "find_gpu", lambda device, visible: gpus[0])
    assert examine("auto", tmp_path).free == {}
    assert examine("auto", tmp_path, ranks=3).free == {1: 70, 2: 60}
    assert examine("cpu", tmp_path, ranks=3).free == {}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"gpus": 3}, "expected --gpus 1, 2, 4, 8, 16, which divide the model's 16 heads, got 3"),
        ({"gpus": 2, "variant": "bidirectional"}, "expected --gpus 1 with --variant bidirectional, got 2"),
        ({"gpus": 2, "device": "cuda"}, "expected at most --gpus 1, which is all there are, got 2"),
    ],
)
def test_ranks_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], problem: str
) -> None:
    monkeypatch.setattr(doctor, "list_gpus", lambda visible: [H100.gpu])
    with pytest.raises(ValueError, match=problem):
        doctor.run(load_settings(**settings), None, check=False)


def test_report_for_a_small_gpu() -> None:
    said = "\n".join(report(H100, DISTILLED, (352, 640), 20_000_000_000, "x is missing", 4))
    assert "Plan for 20.0 GB\n  serve, 1 at once and a clip, because 4 do not fit: DOES NOT FIT" in said
    assert "files    x is missing" in said
    assert "KV cache       stored unrotated" in said


@pytest.mark.parametrize("tiny", [False, True])
def test_report_for_a_gpu_of_24_gb(tiny: bool) -> None:
    gpu = Machine(Gpu("RTX 4090", 25_000_000_000, 25_700_000_000), 64_000_000_000, 10**12)
    lines = list(report(gpu, DISTILLED, (240, 416), 24_000_000_000, PRESENT, 1, tiny_decoder=tiny))
    if tiny:
        assert "  render: fits, 23.2 GB at most" in lines
        assert "No published size" not in lines[-1]
    else:
        assert "  serve, 1 at once and a clip: DOES NOT FIT, it takes at least 27.2 GB" in lines
        assert lines[-1] == (
            "  No published size fits into 24.0 GB: 240x416 takes 25.6 GB for one walk, and 23.2 GB with "
            "--tier fast and its tiny decoder, which fits"
        )


@pytest.mark.parametrize(
    ("memory", "elsewhere", "fits"), [(19, False, False), (19, True, True), (25, False, True)]
)
def test_report_says_where_main_memory_is_too_short(memory: int, elsewhere: bool, fits: bool) -> None:
    """As `serve` does before it loads anything."""
    machine = replace(H100, memory=memory * 1_000_000_000)
    said = "\n".join(report(machine, DISTILLED, SIZE, 83_000_000_000, PRESENT, 4, elsewhere=elsewhere))
    assert ("24.3 GB, for what is not on the GPU: DOES NOT FIT, 19.0 GB are free" in said) is not fits


def test_report_has_one_plan_where_both_are_alike() -> None:
    said = "\n".join(report(H100, DISTILLED, SIZE, 800_000_000_000, PRESENT, 4))
    assert "serve, 4 at once" in said
    assert "render" not in said


def test_report_for_clips_only() -> None:
    said = "\n".join(report(H100, find_variant("bidirectional"), SIZE, 84_000_000_000, PRESENT, 4))
    assert "no KV cache: every step reads the whole clip" in said
    assert "serve and render, a clip at a time: fits, 44.8 GB at most" in said
    assert "sessions         none: this variant only makes clips" in said
    assert "both branches" not in said
    assert "480x832     44.8 GB    0.0 GB  fits" in said


def test_report_without_a_gpu() -> None:
    lines = list(report(Machine(None, 10**10, 10**12), DISTILLED, SIZE, None, PRESENT, 4))
    assert lines[0] == "GPU      none"
    assert lines[-1].startswith("Without a GPU only the embedded world is fast enough.")


def test_report_for_a_gpu_that_others_have_filled() -> None:
    said = "\n".join(report(H100, DISTILLED, SIZE, 0, PRESENT, 4))
    assert "Plan for 0.0 GB\n  serve, 1 at once and a clip, because 4 do not fit: DOES NOT FIT" in said


def test_this_machine(tmp_path: Path) -> None:
    machine = examine("cpu", tmp_path / "not" / "yet")
    assert machine.gpu is None
    assert machine.memory > 10**8
    assert machine.disk_free > 0


def test_gpus_are_those_that_cuda_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(doctor, "find_gpu", lambda device, visible: asked.append(visible))
    for visible in ("", "1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        examine("auto", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    examine("auto", tmp_path)
    assert asked == ["", "1", None]


def test_sessions_are_those_the_plan_accepts() -> None:
    needed = estimate_memory(DISTILLED)
    assert count_sessions(needed, 30_000_000_000) == 0
    assert count_sessions(needed, 200_000_000_000) > count_sessions(needed, 80_000_000_000)


def test_a_tier_that_cannot_be_is_refused() -> None:
    expected = "^expected --tier exact for a model that only makes clips, got 'fast'$"
    with pytest.raises(ValueError, match=expected):
        run(load_settings(device="cpu", variant="bidirectional", tier="fast"), None, check=False)


def test_a_tier_has_no_effect_on_the_plan_for_another_gpu() -> None:
    done = CliRunner().invoke(cli.app, ["doctor", "--memory", "80", "--tier", "fast"])
    assert str(done.exception) == "--tier has no effect with --memory"


def test_a_size_is_not_chosen_for_another_machine() -> None:
    with pytest.raises(ValueError, match="expected a --size like 480x832 with --memory, got 'auto'"):
        run(load_settings(size="auto", device="cpu"), 80.0, check=False)
