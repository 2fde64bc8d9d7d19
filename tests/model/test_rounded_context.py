"""Attention in 8 bits: text and context are rounded once for all denoising steps of a chunk."""

import pytest
import torch
from torch import Tensor

from support.tape import TapeRecorder
from support.tiny_world import ROLLOUT, make_world
from worldplay.model import kv_cache
from worldplay.model.attention import EIGHT_BITS
from worldplay.model.eight_bit_attention import RoundedTokens, round_tokens
from worldplay.model.graphs import Graphs
from worldplay.model.kv_cache import KVCache
from worldplay.world.live_walk import LiveWalk
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World

BLOCKS, TOKENS = 2, 6  # of the tiny model; tokens of a latent


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens of text and context are rounded, each time."""
    counted: list[int] = []

    def count(keys: Tensor, values: Tensor) -> RoundedTokens:
        counted.append(keys.shape[2])
        return round_tokens(keys, values)

    monkeypatch.setattr(kv_cache, "round_tokens", count)
    return counted


@pytest.fixture
def world() -> World:
    made = make_world()
    made.rollout.transformer.use_attention(EIGHT_BITS)
    return made


def walk_on(world: World, num_chunks: int) -> LiveWalk:
    walk = world.open_walk(WalkRequest(seed=1))
    for _ in range(num_chunks):
        walk.begin_chunk(CircleSteering()).finish()
    return walk


def latents_of(walk: LiveWalk) -> Tensor:
    return walk.walk.latents.gather(range(walk.walk.num_latents))


def test_context_is_rounded_once_for_all_steps_and_cuts_of_a_chunk(world: World, lengths: list[int]) -> None:
    walk = walk_on(world, 3)
    lengths.clear()
    text = walk.walk.text[0].length
    walk.begin_chunk(CircleSteering()).finish()
    walk.begin_cut(2, CircleSteering()).finish()
    context = text + ROLLOUT.memory_latents * TOKENS
    # While the context is encoded, all blocks but the last attend to the text.
    assert lengths == [text] * (BLOCKS - 1) + [context] * BLOCKS


def test_a_change_of_text_or_context_is_rounded_anew(world: World, lengths: list[int]) -> None:
    expected = latents_of(walk_on(world, 4))
    counted = len(lengths)
    other = world.open_walk(WalkRequest(seed=2, prompt="B"))
    walk = walk_on(world, 3)
    pending, theirs = walk.begin_chunk(CircleSteering()), other.begin_chunk(CircleSteering())
    for _ in range(ROLLOUT.steps):
        pending.advance()
        theirs.advance()
    pending.finish()
    assert torch.equal(latents_of(walk), expected)
    assert len(lengths) > 2 * counted


def test_rounding_once_is_equal_to_rounding_at_every_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = latents_of(walk_on(world, 4))
    round_before = KVCache.round_before

    def round_again(cache: KVCache, block: int, keys: Tensor, values: Tensor) -> RoundedTokens:
        cache._rounded.clear()
        return round_before(cache, block, keys, values)

    monkeypatch.setattr(KVCache, "round_before", round_again)
    assert torch.equal(latents_of(walk_on(world, 4)), expected)


def test_what_is_rounded_once_is_not_recorded(world: World) -> None:
    """A recording would read what was rounded for the chunk in which it was made."""
    expected = latents_of(walk_on(world, 5))
    again = make_world()
    again.rollout.transformer.use_attention(EIGHT_BITS)
    again.rollout.transformer.use_graphs(Graphs(TapeRecorder()))
    assert torch.equal(latents_of(walk_on(again, 5)), expected)
