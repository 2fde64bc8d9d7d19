import json
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from training import vae_stage
from training.progress import Progress
from training.stages import load_vae
from training.vae_stage import EMBEDDED_VAE, PARTS, WHOLE, Known, VAEStage, take_over, train_vae
from training.vae_streams import Piece
from worldplay.model.vae import StreamingVAE

STEP_S = 0.2
TINY = replace(EMBEDDED_VAE, latent_channels=4, encoder_channels=(8, 8, 8), decoder_channels=(8, 8, 8, 8))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VAEStage:
    """Six steps of a tiny network by a clock of its own: two on parts of small frames, four on whole ones."""
    ticks = count()
    monkeypatch.setattr(vae_stage, "time", SimpleNamespace(monotonic=lambda: STEP_S * next(ticks)))
    monkeypatch.setattr(vae_stage, "EMBEDDED_VAE", TINY)
    monkeypatch.setattr(vae_stage, "PARTS", replace(PARTS, num_streams=1, longest=2, height=32, width=32))
    monkeypatch.setattr(vae_stage, "WHOLE", replace(WHOLE, num_streams=1, longest=2, height=96, width=160))
    monkeypatch.setattr(vae_stage, "HELD_OUT_FRAMES", 33)
    walks = tmp_path / "walks"
    walks.mkdir()
    for seed in (0, *range(1_000_000, 1_000_004)):
        frames = np.random.default_rng(seed).integers(0, 256, (9, 6, 10, 3), dtype=np.uint8)
        np.save(walks / f"{seed}.npy", frames.repeat(15, 0).repeat(16, 1).repeat(16, 2))
    return VAEStage(walks, tmp_path / "out", minutes=6 * STEP_S / 60, device="cpu")


@pytest.mark.slow
@pytest.mark.usefixtures("only_rank")
def test_training_leaves_a_network_that_loads_and_goes_on_where_it_stopped(
    stage: VAEStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, learned = vae_stage.Trainer._learn, count()

    def learn_and_count(trainer: vae_stage.Trainer, piece: Piece) -> None:
        next(learned)
        learn(trainer, piece)

    monkeypatch.setattr(vae_stage.Trainer, "_learn", learn_and_count)
    train_vae(stage)
    first = [json.loads(line) for line in (stage.out / "vae.jsonl").read_text().splitlines()]
    before = load_file(stage.out / "vae.safetensors")
    assert load_vae(stage.out, "cpu").config.scaling_factor != 1
    assert (stage.out / "vae.png").exists()
    train_vae(replace(stage, minutes=8 * STEP_S / 60))
    resumed = [json.loads(line)["step"] for line in (stage.out / "vae.jsonl").read_text().splitlines()]
    assert (first[-1]["step"], resumed[-1], next(learned)) == (6, 8, 8)
    after = load_file(stage.out / "vae.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.fixture
def unmeasured(stage: VAEStage, monkeypatch: pytest.MonkeyPatch) -> VAEStage:
    """The same, and an export measures and draws next to nothing."""
    monkeypatch.setattr(vae_stage, "HELD_OUT_FRAMES", 5)
    monkeypatch.setattr(Progress, "draw", lambda _: None)
    return stage


@pytest.mark.usefixtures("only_rank")
@pytest.mark.parametrize("fails", ["reconstruct", "write_description"])
def test_a_run_that_ended_before_its_last_export_exports_when_it_goes_on(
    unmeasured: VAEStage, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as full:
        full.setattr(vae_stage, fails, fail)
        with pytest.raises(OSError, match="no space left"):
            train_vae(unmeasured)
    train_vae(unmeasured)
    assert load_vae(unmeasured.out, "cpu").config.scaling_factor != 1
    steps = [json.loads(line)["step"] for line in (unmeasured.out / "vae.jsonl").read_text().splitlines()]
    assert steps[-1] == 6


@pytest.mark.usefixtures("only_rank")
def test_training_that_is_killed_goes_on_from_its_last_seconds(
    unmeasured: VAEStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vae_stage, "SAVE_EVERY_S", 1.5 * STEP_S)
    monkeypatch.setattr(vae_stage.Trainer, "_export", lambda _: pytest.fail("exported too early"))
    learn, seen = vae_stage.Trainer._learn, count()

    def learn_and_die(trainer: vae_stage.Trainer, piece: Piece) -> None:
        if next(seen) == 3:
            raise KeyboardInterrupt
        learn(trainer, piece)

    monkeypatch.setattr(vae_stage.Trainer, "_learn", learn_and_die)
    with pytest.raises(KeyboardInterrupt):
        train_vae(unmeasured)
    assert torch.load(unmeasured.out / "vae.ckpt", weights_only=True)["step"] == 2


@pytest.mark.parametrize(
    ("decoder_channels", "known"), [((128, 64, 32, 16), Known.ALL), ((96, 48, 48, 48), Known.ENCODER)]
)
def test_an_earlier_version_is_taken_over_as_far_as_it_fits(
    tmp_path: Path, decoder_channels: tuple[int, ...], known: vae_stage.Known
) -> None:
    earlier = StreamingVAE(replace(EMBEDDED_VAE, decoder_channels=decoder_channels))
    save_file(earlier.state_dict(), tmp_path / "vae.safetensors")
    vae = StreamingVAE(EMBEDDED_VAE)
    assert take_over(vae, tmp_path / "vae.safetensors") is known
    for name, weight in earlier.encoder.state_dict().items():
        assert torch.equal(vae.encoder.state_dict()[name], weight)
    same = torch.equal(
        vae.decoder.conv_in.conv.weight.flatten()[:9], earlier.decoder.conv_in.conv.weight.flatten()[:9]
    )
    assert same == (known is Known.ALL)


def edge(at: int, ramp: tuple[float, ...] = ()) -> torch.Tensor:
    """A clip that is dark up to column `at`, where it may become light by a ramp."""
    start = at - len(ramp) // 2
    row = [-1.0] * start + [*ramp] + [1.0] * (32 - start - len(ramp))
    return torch.tensor(row).expand(1, 3, 1, 32, -1)


def test_contrast_costs_more_where_an_edge_is_blurred_than_where_it_is_misplaced() -> None:
    blurred, misplaced = Counter[str](), Counter[str]()
    for at in range(12, 20):  # everywhere in the windows
        blurred.update(vae_stage.compare(edge(at, (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5)), edge(at))[1])
        misplaced.update(vae_stage.compare(edge(at + 1), edge(at))[1])
    assert misplaced["contrast"] < blurred["contrast"] / 2
    assert misplaced["edges"] > blurred["edges"]
    assert vae_stage.compare(edge(12), edge(12))[1]["contrast"] == 0
