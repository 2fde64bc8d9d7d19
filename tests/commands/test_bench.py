"""The benchmark on a model small enough to be measured in a test; what it counts, not how fast it is."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from support.tiny import TINY
from worldplay import cli
from worldplay.commands import bench
from worldplay.commands.bench import TEXT_PASSES, RandomModel, build, measure
from worldplay.commands.bench_report import Report, count_work, make_rows, render
from worldplay.model import flops
from worldplay.model.config import VAEConfig
from worldplay.model.kv_cache import TextKV
from worldplay.model.vae import StreamingVAE
from worldplay.settings import Settings, load_settings
from worldplay.world.embedded.load import EMBEDDED

pytestmark = pytest.mark.slow

VAE = VAEConfig(
    pixel_patch=1,
    latent_channels=TINY.latent_channels,
    encoder_channels=(8, 8, 8),
    encoder_layers=1,
    decoder_channels=(8, 8, 8),
    decoder_layers=1,
    spatial_compression=4,
    temporal_compression=4,
    scaling_factor=1.0,
)
STAGES = ["text", "select", "context", "step", "denoise", "latent", "decode", "encode", "chunk"]


def tiny(context: int = 8, size: tuple[int, int] = (16, 24)) -> RandomModel:
    return RandomModel(size, context, transformer=TINY, vae=VAE)


@pytest.fixture(scope="module")
def report() -> Report:
    torch.set_num_threads(1)
    return measure(build(tiny(), "cpu"), chunks=2)


def test_every_stage_is_measured_and_a_chunk_is_their_sum(report: Report) -> None:
    rows = {row.stage: row for row in report.rows}
    assert list(rows) == STAGES
    assert all(row.median_ms >= 0 for row in report.rows)
    parts = sum(rows[stage].median_ms for stage in ("select", "context", "denoise", "decode", "encode"))
    assert rows["chunk"].median_ms == pytest.approx(parts, rel=0.3)
    assert report.fps == pytest.approx(16_000 / rows["chunk"].median_ms)


def test_random_weights_are_measured_in_the_tier() -> None:
    settings = load_settings(device="cpu", tier="fast", attention="sdpa")
    with bench._opened(settings, tiny(12)) as subject:
        assert "2 denoising steps instead of 4" in subject.world.levers
        assert subject.walk._rollout is subject.world.rollout


def test_report_says_what_the_tier_did(report: Report) -> None:
    assert "tier" not in render(report)
    assert "tier fast: half the steps\n" in render(replace(report, tier="fast", levers=("half the steps",)))


def test_report_says_what_was_measured(report: Report) -> None:
    assert (report.height, report.width, report.blocks, report.ranks) == (16, 24, 2, 1)
    assert "ranks" not in render(report)
    assert (report.context_latents, report.text_tokens, report.frames_per_chunk) == (8, 880, 16)
    assert json.loads(json.dumps(asdict(report)))["rows"][-1]["stage"] == "chunk"
    assert "8 context latents, 880 text tokens" in render(report)


def test_context_is_encoded_for_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though every chunk follows the same latents, so that the caches already hold their context."""
    subject = build(tiny(context=8), "cpu")
    transformer = subject.world.rollout.transformer
    encode, encoded = transformer.extend_context, []

    def count(latents: torch.Tensor, *rest: object) -> None:
        encoded.append(latents.shape[2])
        encode(latents, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(transformer, "extend_context", count)
    measure(subject, chunks=3)
    assert encoded == [8] * (subject.warm_up + 3)


def test_every_text_pass_encodes_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a walk does not encode the prompt that it has."""
    subject = build(tiny(), "cpu")
    transformer = subject.world.rollout.transformer
    encode, encoded = transformer.encode_text, []

    def count(*arguments: torch.Tensor) -> TextKV:
        encoded.append(arguments)
        return encode(*arguments)

    monkeypatch.setattr(transformer, "encode_text", count)
    measure(subject, chunks=1)
    assert len(encoded) == TEXT_PASSES


def test_context_stays_what_was_asked_for() -> None:
    subject = build(tiny(context=4), "cpu")
    assert measure(subject, chunks=2).context_latents == 4
    assert subject.walk.walk.num_latents == 4


def test_floor_is_the_work_at_the_rate_of_a_matrix_product() -> None:
    row, copied = make_rows({"denoise": [2.0, 4.0, 6.0], "encode": [5.0]}, {"denoise": 3e9}, gemm_rate=1e12)
    assert (row.median_ms, row.tflop, row.floor_ms) == (4.0, 0.003, 3.0)
    assert row.times_floor == pytest.approx(4 / 3)
    assert row.tflop_per_s == pytest.approx(0.75)
    assert (copied.p95_ms, copied.floor_ms) == (5.0, None)


def test_work_by_stage() -> None:
    world = build(tiny(), "cpu").world
    work = count_work(world, (4, 6), context=8, text_tokens=61)
    assert work["chunk"] == work["context"] + work["denoise"] + work["decode"]
    assert work["denoise"] == 4 * work["step"]
    assert work["latent"] == flops.decode_latent(VAE, (4, 6))


def test_planes_are_less_work() -> None:
    config = replace(VAE, pixel_patch=2)
    world = replace(build(tiny(), "cpu").world, vae=StreamingVAE(config))
    before = count_work(world, (4, 6), context=8, text_tokens=61)["latent"]
    world.vae.use_planes()
    after = count_work(world, (4, 6), context=8, text_tokens=61)["latent"]
    assert after == flops.decode_latent(config, (4, 6), to_planes=True) < before


def test_history_guidance_is_work() -> None:
    world = build(tiny(), "cpu").world
    config = replace(world.rollout.config, memory_latents=12, recent_latents=4, history_guidance=1.5)
    guided = replace(world, rollout=replace(world.rollout, config=config))
    grid, tokens = (4, 6), 61
    latest = flops.chunk(world.rollout.transformer.config, VAE, grid, 4, tokens, 1)
    for context, more in ((8, 0), (12, 1)):
        plain, work = (count_work(each, grid, context, tokens) for each in (world, guided))
        assert work["denoise"] - plain["denoise"] == pytest.approx(more * latest.denoise)
        assert work["context"] == plain["context"]


def test_a_walk_may_go_on() -> None:
    subject = replace(build(tiny(context=4), "cpu"), stays=False, warm_up=1)
    assert measure(subject, chunks=1).context_latents == 8
    assert subject.walk.num_chunks == 3


@pytest.mark.parametrize(
    ("random", "problem"),
    [
        (tiny(context=24), "expected 0 to 20 context latents, got 24"),
        (tiny(context=6), "expected context latents in multiples of 4, got 6"),
        (tiny(size=(16, 30)), "expected height and width in multiples of 4 and 4, got 16x30"),
    ],
)
def test_impossible_models_are_refused(random: RandomModel, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        build(random, "cpu")


def test_model_that_memory_cannot_hold_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "available_memory", lambda: 10**5)
    expected = (
        r"^random weights of 1 of 2 blocks need about .* are available; take a smaller --size or a GPU$"
    )
    with pytest.raises(OSError, match=expected):
        build(tiny(), "cpu")
    with pytest.raises(OSError, match=r"take fewer --blocks, a smaller --size or a GPU$"):
        build(replace(tiny(), blocks=2), "cpu")


@pytest.mark.parametrize(
    ("gigabytes", "asked", "blocks"), [(100, None, 2), (14, None, 2), (13, None, 1), (100, 54, 54)]
)
def test_cpu_times_as_many_blocks_as_fit(
    gigabytes: int, asked: int | None, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "available_memory", lambda: gigabytes * 10**9)
    monkeypatch.setattr(bench, "choose_dtype", lambda device: torch.bfloat16)
    released = RandomModel((480, 832), context=20, blocks=asked)
    assert bench._choose_blocks(released, torch.device("cpu")) == blocks


def test_report_tells_a_part_from_the_whole() -> None:
    deep = replace(tiny(context=4), transformer=replace(TINY, blocks=54))
    report = measure(build(deep, "cpu"), chunks=1)
    assert (report.blocks, report.model_blocks) == (2, 54)
    assert "at 16x24, 2 of 54 blocks, 4 context latents" in render(report)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--random-weights"], "expected --model hy-worldplay with --random-weights, got 'embedded'"),
        (["--context", "0"], "--context has no effect without --random-weights"),
        (["--model", "hy-worldplay", "--blocks", "1"], "--blocks has no effect without --random-weights"),
        (["--size", "64x96"], "--size has no effect with --model embedded"),
        (["--model", str(EMBEDDED), "--variant", "ar"], f"--variant has no effect with --model {EMBEDDED}"),
        (
            ["--model", "hy-worldplay", "--random-weights", "--variant", "ar"],
            "--variant has no effect with --random-weights",
        ),
        (
            ["--model", "hy-worldplay", "--variant", "bidirectional"],
            "expected a --variant that makes live walks, got bidirectional, which makes clips only",
        ),
        (
            ["--model", "hy-worldplay", "--random-weights", "--blocks", "55"],
            "expected at most 54 blocks, got 55",
        ),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], problem: str) -> None:
    assert str(CliRunner().invoke(cli.app, ["bench", *arguments]).exception) == problem


def test_numbers_must_have_where_to_go_before_anything_is_measured(tmp_path: Path) -> None:
    arguments = ["bench", "--json", str(tmp_path / "no" / "such.json")]
    assert "cannot write" in str(CliRunner().invoke(cli.app, arguments).exception)


@pytest.mark.parametrize("command", ["serve", "render"])
def test_options_of_the_released_model_are_refused_without_it(command: str) -> None:
    arguments = [command, "--weights-dir", "x", *(["--port", "0"] if command == "serve" else [])]
    said = str(CliRunner().invoke(cli.app, arguments).exception)
    assert said == "--weights-dir has no effect with --model embedded"


def test_released_model_is_measured_as_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Settings] = []
    monkeypatch.setattr(bench, "run", lambda settings, *rest: asked.append(settings))
    options = [
        "--model",
        "hy-worldplay",
        "--size",
        "352x640",
        "--variant",
        "ar",
        "--weights-dir",
        str(tmp_path),
    ]
    CliRunner().invoke(cli.app, ["bench", *options], catch_exceptions=False)
    assert [(s.size, s.variant, s.weights_dir) for s in asked] == [("352x640", "ar", tmp_path)]
