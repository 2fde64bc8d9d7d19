"""Tiers: what each changes, what this machine refuses, and that the exact one changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from support.tiny_world import ROLLOUT, make_world
from worldplay.loading import tune
from worldplay.model.packing import RoundedProjections
from worldplay.model.tiny_decoder import LATENT_CHANNELS, TinyDecoder
from worldplay.ranks.exchange import Exchange
from worldplay.settings import load_model_settings
from worldplay.world import tiers
from worldplay.world.kept_rollout import Keeping
from worldplay.world.rollout_config import MOST_KEPT
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.tier import TIERS, Tier, TierName
from worldplay.world.tiers import (
    _count_kept,
    apply_tier,
    count_kept_bytes,
    describe_attention,
    find_rounding_problem,
)
from worldplay.world.world import World


def apply(world: World, name: TierName, *, compiles: bool = False, tiny: Path | None = None) -> World:
    return apply_tier(world, name, compiles=compiles, walks=1, tiny_decoder=tiny)


def walk(world: World, num_chunks: int = 4) -> torch.Tensor:
    live = world.open_walk(WalkRequest(seed=0))
    return torch.cat([live.begin_chunk(CircleSteering()).finish().latents for _ in range(num_chunks)], dim=2)


def with_units(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world on a machine that multiplies in 8 bits."""
    monkeypatch.setattr(tiers, "find_rounding_problem", lambda device: None)
    return make_world(packs=True)


def test_exact_is_the_default_and_changes_nothing() -> None:
    settings = load_model_settings(attention="sdpa")
    world = make_world()
    tuned = tune(settings, world)
    assert (settings.tier, tuned.tier, tuned.levers) == ("exact", "exact", ())
    assert tuned.rollout is world.rollout
    assert torch.equal(walk(tuned), walk(make_world()))


def test_exact_has_no_lever() -> None:
    assert TIERS["exact"] == Tier()


def test_balanced_keeps_context() -> None:
    world = apply(make_world(), "balanced")
    assert world.rollout.keeping == Keeping(8, MOST_KEPT)
    assert world.rollout.config == ROLLOUT
    assert world.levers == (
        "the newest 8 of 12 context latents are encoded, the others are read back; the latest 256 of a walk "
        "are kept",
        "linear layers are not in 8 bits: a cpu would only emulate them",
    )


def test_fast_has_half_the_steps() -> None:
    world = apply(make_world(), "fast")
    assert world.rollout.config == replace(ROLLOUT, steps=1)
    assert "1 denoising steps instead of 2" in world.levers


def test_fast_walks() -> None:
    fast = tune(load_model_settings(tier="fast"), make_world())
    assert walk(fast).isfinite().all()
    assert not torch.equal(walk(fast), walk(make_world()))


def test_linears_are_rounded_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_units(monkeypatch)
    world.rollout.transformer.double_blocks.insert(1, with_units(monkeypatch).rollout.transformer.blocks[0])
    apply(world, "balanced", compiles=True)
    rounded = [isinstance(block.packed, RoundedProjections) for block in world.rollout.transformer.blocks]
    assert rounded == [False, True, False]


def test_linears_are_not_rounded_without_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    levers = apply(with_units(monkeypatch), "balanced").levers
    assert levers[1].startswith("linear layers are not in 8 bits: without torch.compile rounding costs more")


def test_context_is_not_kept_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "_count_kept", lambda world, walks: 11)
    world = apply(make_world(), "balanced")
    assert world.rollout.keeping is None
    assert (
        world.levers[0]
        == "context is not kept: there is memory for 11 latents of a walk, not 12; take fewer --max-sessions"
    )


def test_context_is_not_kept_beside_a_cache_for_little_memory() -> None:
    world = make_world()
    cache = world.rollout.transformer.new_cache((4, 6), 22, 12, unrotated=True)
    world = replace(world, rollout=replace(world.rollout, caches=[cache]))
    world = apply(world, "balanced")
    assert world.rollout.keeping is None
    assert world.levers[0].startswith("context is not kept: memory is short")


def test_kept_bytes_are_those_of_a_latent() -> None:
    world = apply(make_world(), "balanced")
    live = world.open_walk(WalkRequest(seed=0))
    for _ in range(3):
        live.begin_chunk(CircleSteering()).finish()
    (kept,) = live.walk.kept
    assert kept.num_bytes == 8 * count_kept_bytes(world)


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("sage", "attention is in 8 bits, by sage"),
        ("sdpa", "attention is not in 8 bits: no kernel for it is installed that is faster here than sdpa"),
    ],
)
def test_what_attention_became_is_said(backend: str, said: str) -> None:
    world = replace(make_world(), tier="fast")
    world.rollout.transformer.use_attention(backend)
    assert describe_attention(world).levers == (said,)
    assert describe_attention(replace(world, tier="exact")).levers == ()


def test_a_cpu_has_no_units() -> None:
    assert find_rounding_problem(torch.device("cpu")) == "a cpu would only emulate them"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_units_of_a_gpu_compute_what_is_emulated() -> None:
    assert find_rounding_problem(torch.device("cuda")) is None


def test_missing_tiny_decoder_is_said(tmp_path: Path) -> None:
    assert apply(make_world(), "fast").levers[-1] == (
        "the model's own decoder is used: no tiny one is published for its latents"
    )
    levers = apply(make_world(), "fast", tiny=tmp_path / "taehv1_5.safetensors").levers
    assert levers[-1] == "the model's own decoder is used: the file taehv/taehv1_5.safetensors is missing"


def test_tiny_decoder_is_used_if_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "taehv1_5.safetensors"
    save_file(TinyDecoder().state_dict(), path)
    world = apply(make_world(), "fast", tiny=path)
    latent = torch.zeros(1, LATENT_CHANNELS, 1, 2, 3)
    assert world.vae.decode_latent(latent, world.vae.new_decoder_state()).shape == (1, 3, 1, 32, 48)
    assert world.levers[-1].startswith("a tiny decoder shows")


def test_model_that_only_makes_clips_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "can_walk", False)
    assert apply(make_world(), "exact").levers == ()
    with pytest.raises(
        ValueError, match=r"^expected --tier exact for a model that only makes clips, got 'fast'$"
    ):
        apply(make_world(), "fast")


def test_every_rank_keeps_the_context_of_its_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank has half of a latent, and, where all are processes of one machine, half of its memory."""
    alone, shared = make_world(), make_world()
    shared.rollout.transformer.use_ranks(Exchange(0, 2))
    assert count_kept_bytes(shared) == count_kept_bytes(alone) // 2
    monkeypatch.setattr(tiers, "available_memory", lambda: 100 * count_kept_bytes(alone))
    assert [_count_kept(world, walks=1) for world in (alone, shared)] == [36, 36]  # whole chunks


def test_other_ranks_limit_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    ranks = Exchange(0, 2)
    world.rollout.transformer.use_ranks(ranks)
    monkeypatch.setattr(World, "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10**9, 10**9))
    ranks.free = {1: 100 * count_kept_bytes(world)}
    assert _count_kept(world, walks=1) == 36


def test_unknown_tier_is_refused() -> None:
    with pytest.raises(ValueError, match=r"setting tier: .*'exact', 'balanced' or 'fast'"):
        load_model_settings(tier="turbo")
