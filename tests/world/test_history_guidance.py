"""The last step is led away from what the latest latents alone tell, once the context is not all there is."""

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from support.rollouts import ROLLOUT, Script, latents_of, make_rollout_model, new_walk, rollout, stroll
from support.tape import TapeRecorder
from support.tiny_world import ROLLOUT as OF_WORLD
from support.tiny_world import make_world, with_sets
from support.walks import latents_of as latents_of_live
from worldplay.model.scheduler import sigmas
from worldplay.world.camera import Motion
from worldplay.world.cuda_graphs import use_recordings
from worldplay.world.live_walk import LiveWalk
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.walk import Walk
from worldplay.world.warm_up import warm_up
from worldplay.world.world import World

WHOLE = 4  # chunks whose context is the whole walk
LATENTS, LATEST, MOST = ROLLOUT.chunk_latents, ROLLOUT.recent_latents, ROLLOUT.memory_latents
GUIDANCE = 1.5
INPUTS = 6  # of a denoising step that attends to the whole context


def make_model(history_guidance: float) -> RolloutModel:
    model = make_rollout_model()
    config = replace(ROLLOUT, history_guidance=history_guidance)
    return replace(model, config=config)


def make_walk(model: RolloutModel, num_chunks: int, steering: Script) -> Walk:
    walk = new_walk(model)
    for _ in islice(rollout(model, walk, steering), num_chunks):
        pass
    return walk


def test_nothing_changes_while_the_context_is_the_whole_walk() -> None:
    plain, guided = (
        latents_of(make_walk(make_model(guidance), WHOLE + 1, Script(stroll))) for guidance in (1.0, GUIDANCE)
    )
    own = WHOLE * LATENTS
    assert torch.equal(plain[:, :, :own], guided[:, :, :own])
    assert (plain[:, :, own:] - guided[:, :, own:]).abs().max() > 0.01


@pytest.mark.parametrize(("turn_deg", "share"), [(0, 1.0), (2, 1 - 2 * 17.5 / 60), (10, 0.0)])
def test_last_velocity_is_led_away_from_that_of_the_latest_latents(
    turn_deg: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is led as far as the last view is not in the first chunk, of 16 latents before; a view has 60°."""
    turn = Script(lambda chunk: Motion(yaw=np.radians(turn_deg)))
    model = make_model(GUIDANCE)
    walk = make_walk(model, WHOLE, turn)
    encoded, denoised = list[int](), list[tuple[int | None, torch.Tensor, torch.Tensor]]()
    encode, denoise = model.transformer.encode_context, model.transformer.denoise

    def note_encoded(latents: torch.Tensor, *rest: Any) -> None:
        encoded.append(latents.shape[2])
        encode(latents, *rest)

    def note_denoised(*inputs: Any) -> torch.Tensor:
        velocity, latest = denoise(*inputs), None if len(inputs) == INPUTS else inputs[-1]
        denoised.append((latest, inputs[0], velocity))
        return velocity

    monkeypatch.setattr(model.transformer, "encode_context", note_encoded)
    monkeypatch.setattr(model.transformer, "denoise", note_denoised)
    chunk = next(rollout(model, walk, turn))

    assert encoded == [MOST]
    assert [latest for latest, _, _ in denoised] == [None] * ROLLOUT.steps + [LATEST]
    (_, before, whole), (_, _, latest) = denoised[-2:]
    last_level = float(sigmas(ROLLOUT.steps, ROLLOUT.shift)[-2])
    led = (before - chunk.latents) / last_level - whole
    guidance = 1 + float((led * (whole - latest)).sum() / (whole - latest).square().sum())
    torch.testing.assert_close(led, (guidance - 1) * (whole - latest), atol=1e-5, rtol=1e-3)
    assert guidance == pytest.approx(1 + (GUIDANCE - 1) * (1 - share), abs=0.03)


@pytest.fixture(scope="module")
def world() -> World:
    shared = make_world()
    config = replace(OF_WORLD, history_guidance=GUIDANCE)
    return replace(shared, rollout=replace(shared.rollout, config=config))


def walk_on(live: LiveWalk, num_chunks: int) -> LiveWalk:
    for _ in range(num_chunks):
        live.begin_chunk(CircleSteering()).finish()
    return live


@pytest.mark.parametrize("num_sets", [1, 2])
def test_walks_that_take_turns_do_not_disturb_each_other(world: World, num_sets: int) -> None:
    requests = [WalkRequest(seed=seed) for seed in range(2)]
    expected = [latents_of_live(walk_on(world.open_walk(request), WHOLE + 2)) for request in requests]
    several = with_sets(world, num_sets)
    walks = [walk_on(several.open_walk(request), WHOLE) for request in requests]
    for _ in range(2):
        pending = [live.begin_chunk(CircleSteering()) for live in walks]
        for _ in range(OF_WORLD.steps + 1):
            for each in pending:
                each.advance()
    for live, latents in zip(walks, expected, strict=True):
        assert torch.equal(latents_of_live(live), latents)


def test_cut_that_is_steered_as_before_changes_nothing(world: World) -> None:
    live = walk_on(world.open_walk(WalkRequest(seed=0)), WHOLE + 1)
    before = latents_of_live(live)
    assert live.holds_context
    live.begin_cut(2, CircleSteering()).finish()
    assert torch.equal(latents_of_live(live), before)


def test_warm_up_attends_to_the_latest_too_and_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = with_sets(world, 2)
    expected = latents_of_live(walk_on(world.open_walk(WalkRequest(seed=0)), WHOLE + 1))
    run, denoise = set[tuple[int, int | None]](), world.rollout.transformer.denoise

    def note(*inputs: Any) -> torch.Tensor:
        run.add((id(inputs[INPUTS - 1]), inputs[INPUTS] if len(inputs) > INPUTS else None))
        return denoise(*inputs)

    monkeypatch.setattr(world.rollout.transformer, "denoise", note)
    warm_up(world)
    caches = [id(cache) for caches in world.rollout.cache_sets for cache in caches]
    assert run == {(cache, latest) for cache in caches for latest in (None, LATEST)}
    assert torch.equal(latents_of_live(walk_on(world.open_walk(WalkRequest(seed=0)), WHOLE + 1)), expected)


def test_recorded_walk_is_the_same() -> None:
    config = replace(OF_WORLD, history_guidance=GUIDANCE)
    latents = []
    for records in (False, True):
        world = make_world()
        world = replace(world, rollout=replace(world.rollout, config=config))
        if records:
            world = use_recordings(world, TapeRecorder, None)
        latents.append(latents_of_live(walk_on(world.open_walk(WalkRequest(seed=0)), WHOLE + 3)))
    assert torch.equal(*latents)


def test_two_kinds_of_guidance_are_refused() -> None:
    with pytest.raises(ValueError, match="expected guidance or history_guidance of 1, got neither"):
        replace(ROLLOUT, guidance=6.0, history_guidance=GUIDANCE)
