"""The transformer's trainer: samples as at inference, a loss that falls, fan-out equal to repetition."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training import transformer_stage
from training.batch import Batch, collate
from training.data import plan_walk
from training.drawing import DrawnAhead, DrawnHere
from training.flow_matching import chunk_loss, draw_levels
from training.generate import choose_contexts, generate
from training.latent_walks import LatentPool, LatentWalks, WalkTable
from training.muon import orthogonalize
from training.passes import (
    BatchCache,
    encode_conditions,
    make_cameras,
    predict_velocity,
    run_context,
)
from training.prompt_book import PromptBook
from training.samples import CONTEXT_SIZES, Request, Sampler
from training.transformer_init import EMBEDDED_TRANSFORMER, build_model
from training.transformer_stage import Plan, Trainer
from worldplay.model.kv_cache import TextKV

TINY = replace(
    EMBEDDED_TRANSFORMER, hidden=32, heads=2, rope_dims=(4, 6, 6), blocks=2, latent_channels=4, vision_dim=4
)


@pytest.fixture
def walks() -> LatentWalks:
    generator = torch.Generator().manual_seed(0)
    plans = [plan_walk(seed, 24, seed % 2 == 0) for seed in (0, 1, 2, 4)]
    table = WalkTable(
        c2w=np.stack([plan.c2w for plan in plans]),
        labels=np.stack([plan.labels() for plan in plans]),
        lights=np.zeros((4, 24), np.int64),
        views=np.array([-1 if plan.view is None else plan.view for plan in plans]),
    )
    return LatentWalks(
        plans=table,
        latents=torch.randn(4, 24, 4, 2, 4, generator=generator),
        images=torch.randn(3, 4, 2, 4, generator=generator),
    )


@pytest.fixture
def prompts() -> PromptBook:
    """One prompt of two words in each light."""
    states = torch.randn(4, 2, 64, generator=torch.Generator().manual_seed(0))
    return PromptBook({2: [[one.numpy()] for one in states]}, states)


def draw(walks: LatentWalks, prompts: PromptBook, size: int, count: int) -> Batch:
    """Draw samples with true contexts."""
    moments = Sampler(walks.plans, prompts).choose(Request(0, size, count, 0.0, ()))
    return collate(moments, LatentPool(walks.latents).gather(moments), walks.images, size)


@pytest.mark.parametrize("size", CONTEXT_SIZES)
def test_samples_begin_at_the_start_view_and_carry_its_image(
    walks: LatentWalks, prompts: PromptBook, size: int
) -> None:
    batch = draw(walks, prompts, size, 5)
    assert batch.latents.shape == (5, 4, size + 8, 2, 4)
    assert batch.num_context == size
    torch.testing.assert_close(batch.viewmats[:, 0], torch.eye(4).expand(5, 4, 4))
    assert torch.equal(batch.cond[:, -1, 0], torch.ones(5, 2, 4))
    others = [i for i in range(1, size + 8) if size or i != 4]  # without context both chunks are first ones
    assert not batch.cond[:, -1, others].any()
    torch.testing.assert_close(batch.cond[:, :-1, 0], batch.text_images[batch.conditions])


def test_generated_latents_serve_as_context_but_not_as_target(
    walks: LatentWalks, prompts: PromptBook
) -> None:
    pool = LatentPool(walks.latents)
    for walk in (0, 2, 3):  # those from a start view
        pool.keep(walk, torch.full((24, 4, 2, 4), 9.0))
    latents = pool.gather(Sampler(walks.plans, prompts).choose(Request(0, 8, 3, 1.0, pool.rows)))
    assert (latents[:, :8] == 9).all()
    assert not (latents[:, 8:] == 9).any()


def test_samples_drawn_ahead_are_those_drawn_when_asked(walks: LatentWalks, prompts: PromptBook) -> None:
    def draw_all(drawing: DrawnHere | DrawnAhead) -> list[tuple[int, int, bytes]]:
        asked = (Request(seed, 4 * (seed % 3), 2, 0.0, ()) for seed in count())
        drawn = [drawing.draw(lambda: next(asked)) for _ in range(4)]
        return [
            (r.seed, r.num_context, np.stack([m.places for m in chosen]).tobytes()) for r, chosen in drawn
        ]

    ahead = DrawnAhead(walks.plans, prompts, processes=1)
    assert draw_all(ahead) == draw_all(DrawnHere(walks.plans, prompts))
    assert os.getpgrp() not in {os.getpgid(drawer.pid or 0) for drawer in active_children()}
    poses = walks.plans.c2w[:2]
    assert ahead.choose_contexts(poses, 5) == [choose_contexts(5, c2w) for c2w in poses]
    ahead.close()


def test_one_context_serves_several_chunks_as_if_each_had_its_own(
    walks: LatentWalks, prompts: PromptBook
) -> None:
    torch.manual_seed(0)
    model = build_model(TINY)
    torch.nn.init.normal_(model.final_layer.linear.weight)
    both = draw(walks, prompts, 4, 2)
    noisy, levels = torch.randn(4, 4, 4, 2, 4), torch.tensor([1000.0, 900.0, 800.0, 700.0])

    def run(batch: Batch, noisy: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        cache = BatchCache(encode_conditions(model, batch.text_images, batch.text_states), batch.conditions)
        context_cameras, cameras = make_cameras(model, batch)
        run_context(model, batch, batch.latents[:, :, :4], context_cameras, cache)
        cache.fan_out(batch.num_chunks)
        return predict_velocity(model, batch, noisy, levels, cameras, cache)

    together = run(both, noisy, levels)
    for chunk in range(2):
        kept = [0, 1, 2, 3, *range(4 + 4 * chunk, 8 + 4 * chunk)]
        one = replace(
            both,
            latents=both.latents[:, :, kept],
            cond=both.cond[:, :, kept],
            viewmats=both.viewmats[:, kept],
            intrinsics=both.intrinsics[:, kept],
            actions=both.actions[:, kept],
        )
        rows = slice(2 * chunk, 2 * chunk + 2)
        alone = run(one, noisy[rows], levels[rows])
        torch.testing.assert_close(together[rows], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_the_loss_of_a_small_model_falls(walks: LatentWalks, prompts: PromptBook) -> None:
    model = build_model(TINY)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    batch, losses = draw(walks, prompts, 4, 8), []
    for _ in range(20):
        loss = chunk_loss(model, batch, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@torch.inference_mode()
def test_a_chunk_is_predicted_as_the_server_does(walks: LatentWalks, prompts: PromptBook) -> None:
    model = build_model(TINY)
    batch = draw(walks, prompts, 4, 1)
    context_cameras, cameras = make_cameras(model, batch)
    noisy = torch.randn(2, 4, 4, 2, 4, generator=torch.Generator().manual_seed(0))
    text = encode_conditions(model, batch.text_images, batch.text_states)
    trained = BatchCache(text, batch.conditions)
    run_context(model, batch, batch.latents[:, :, :4], context_cameras, trained)
    trained.fan_out(2)
    velocity = predict_velocity(model, batch, noisy, torch.full((2,), 625.0), cameras, trained)
    for chunk, start in enumerate((4, 8)):
        served, row, own = model.new_cache((2, 4), text.length), batch.conditions, slice(start, start + 4)
        served.set_text(TextKV([k[row] for k in text.keys], [v[row] for v in text.values]))
        context = batch.latents[:, :, :4], batch.cond[:, :, :4], context_cameras, batch.actions[:, :4]
        model.encode_context(*context, served)
        seen = model.prepare_cameras(batch.viewmats[:, own], batch.intrinsics[:, own])
        arguments = batch.cond[:, :, own], seen, batch.actions[:, own]
        alone = model.denoise(noisy[chunk, None], *arguments, 625.0, served)
        torch.testing.assert_close(velocity[chunk, None], alone, atol=1e-5, rtol=1e-5)


def test_a_fresh_model_predicts_about_the_noisy_latent(walks: LatentWalks, prompts: PromptBook) -> None:
    model = build_model(TINY)
    batch = draw(walks, prompts, 0, 2)
    noisy = torch.randn(4, 4, 4, 2, 4, generator=torch.Generator().manual_seed(0))
    cache = BatchCache(encode_conditions(model, batch.text_images, batch.text_states), batch.conditions)
    cache.fan_out(2)
    _, cameras = make_cameras(model, batch)
    velocity = predict_velocity(model, batch, noisy, torch.full((4,), 900.0), cameras, cache)
    correlation = torch.corrcoef(torch.stack([velocity.flatten(), noisy.flatten()]))[0, 1]
    assert correlation > 0.8


def test_generate_is_repeatable_and_gives_every_latent(walks: LatentWalks, prompts: PromptBook) -> None:
    model = build_model(TINY)
    contexts = [choose_contexts(4, walks.plans.c2w[row]) for row in (2, 3)]
    made = [
        generate(model, walks, [2, 3], contexts, torch.Generator().manual_seed(1), prompts.plain)
        for _ in range(2)
    ]
    assert made[0].shape == (2, 16, 4, 2, 4)
    assert torch.equal(made[0], made[1])


def test_noise_levels_are_mostly_those_of_inference() -> None:
    levels = draw_levels(1000, torch.Generator().manual_seed(0))
    known = torch.tensor([1, 0.9375, 5 / 6, 0.625])
    share = torch.isclose(levels[:, None], known).any(dim=1).float().mean()
    assert 0.9 < share < 0.99
    assert (levels <= 1).all()


def test_orthogonalize_brings_singular_values_near_one() -> None:
    matrices = torch.randn(2, 24, 16, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(matrices).float())
    assert values.min() > 0.5
    assert values.max() < 1.4


PLAN = Plan(
    seconds=3600,
    samples=1,
    muon_rate=1e-3,
    adam_rate=1e-3,
    generated_from=1.0,
    generated_share=0.0,
    refresh_steps=100,
    refresh_walks=1,
    save_every_s=3600,
    device="cpu",
    drawers=0,
    start=None,
)


@pytest.fixture
def old_handlers() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("only_rank", "old_handlers")
def test_a_rank_that_is_told_to_stop_saves_the_step_under_way(
    walks: LatentWalks, prompts: PromptBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss_and_signal(*arguments: Any) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGTERM)
        return chunk_loss(*arguments)

    monkeypatch.setattr(transformer_stage, "EMBEDDED_TRANSFORMER", TINY)
    monkeypatch.setattr(transformer_stage, "chunk_loss", loss_and_signal)
    (tmp_path / "vae.json").write_text("{}")
    for step in (1, 2):  # the second time it goes on from there
        with pytest.raises(SystemExit, match="the same command goes on"):
            Trainer(walks, walks, prompts, tmp_path, PLAN).run()
        assert torch.load(tmp_path / "transformer_state.pt", weights_only=True)["step"] == step
    assert json.loads((tmp_path / "world.json").read_text())["transformer"]["hidden"] == 32
