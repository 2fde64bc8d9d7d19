"""What the stages take over from an earlier version, and what they leave."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from PIL import Image

from evaluation.lab import play
from evaluation.routes import held_out
from training import stages, text_stage
from training.export import EMBEDDED_ROLLOUT, export
from training.prompt_book import read_prompts
from training.stages import Options, load_prompts, load_vae, reuse_stage
from training.transformer_init import EMBEDDED_TRANSFORMER, build_model
from worldplay.world.embedded.load import EMBEDDED, load_embedded

CPU = torch.device("cpu")


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Options]:
    monkeypatch.setattr(stages, "read_prompts", partial(read_prompts, count=40))
    dist.init_process_group("gloo", f"file://{tmp_path}/ranks", rank=0, world_size=1)
    yield Options(
        stages=["reuse"],
        folder=tmp_path / "train",
        processes=1,
        device="cpu",
        pictures=1,
        walks=0,
        drills=0,
        vae_minutes=0,
        minutes=0,
        rate=0.5,
        nice=0,
        start=EMBEDDED,
    )
    dist.destroy_process_group()


@pytest.mark.slow
def test_a_version_that_goes_on_sees_the_latents_and_prompts_of_the_one_before(options: Options) -> None:
    reuse_stage(options)
    vae, shipped = load_vae(options.folder, "cpu"), load_embedded(EMBEDDED, CPU)
    assert vae.config == shipped.vae.config
    for name, weight in shipped.vae.state_dict().items():
        assert torch.equal(vae.state_dict()[name], weight)
    conditioning = shipped.conditioner.encode(
        "the courtyard in snow", Image.new("RGB", (160, 96)), torch.zeros(1, 32, 1, 6, 10)
    )
    torch.testing.assert_close(load_prompts(options.folder).plain[3], conditioning.text_states[0])


@pytest.mark.slow
def test_what_training_leaves_is_a_world_to_walk_in(options: Options) -> None:
    reuse_stage(options)
    model = build_model(EMBEDDED_TRANSFORMER)
    export(options.folder, model.state_dict(), model.config)
    world = load_embedded(options.folder, CPU)
    assert world.rollout.config == EMBEDDED_ROLLOUT
    assert len(play(world, held_out(0, 1)).frames) == 13


@pytest.mark.slow
def test_text_that_is_learned_anew_keeps_its_states(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_stage, "STEPS", 20)
    monkeypatch.setattr(text_stage, "BATCH", 16)
    reuse_stage(options)
    before = load_prompts(options.folder).plain.mean(dim=1)  # [lights, D]
    errors = []
    for start in (EMBEDDED / "text.safetensors", None):
        (options.folder / "text.safetensors").unlink()
        text_stage.train_text(options.folder, start)
        after = load_prompts(options.folder).plain.mean(dim=1)
        errors.append(float((after - before).square().mean()))
    assert 0 < errors[0] < 0.1 * errors[1]
    log = [json.loads(line) for line in (options.folder / "text.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == list(range(1, 21))
    assert log[-1]["spent_s"] > 0


def test_text_that_is_there_is_left_alone(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    options.folder.mkdir()
    path = options.folder / "text.safetensors"
    path.write_bytes(b"trained")
    text_stage.train_text(options.folder, None)
    assert path.read_bytes() == b"trained"
    assert capsys.readouterr().out == f"text is there already: delete {path} to train it anew\n"
