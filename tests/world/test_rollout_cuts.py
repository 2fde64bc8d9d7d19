"""Chunks that are cut: what stays, what is made anew, and what comes after."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from support.rollouts import Script, latents_of, make_rollout_model, new_walk, rollout, spin, stroll
from worldplay.world.camera import Motion
from worldplay.world.chunk import Chunk
from worldplay.world.rollout import ChunkRollout
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.walk import Walk


@pytest.fixture(scope="module")
def model() -> RolloutModel:
    return make_rollout_model()


def cut_walk(model: RolloutModel, kept: int, num_chunks: int = 3) -> tuple[Walk, ChunkRollout, Chunk]:
    """A walk whose last chunk was cut, with other steering after `kept` latents."""
    walk = new_walk(model)
    for _ in range(num_chunks - 1):
        ChunkRollout(model, walk).begin(Script(stroll)).finish()
    chunk = ChunkRollout(model, walk)
    chunk.begin(Script(stroll)).finish()
    return walk, chunk, chunk.cut(kept, Script(spin)).finish()


@pytest.mark.parametrize("num_chunks", [1, 2, 5])
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_cut_leaves_the_latents_before_it_as_they_are(
    model: RolloutModel, kept: int, num_chunks: int
) -> None:
    uncut = new_walk(model)
    list(islice(rollout(model, uncut, Script(lambda _: stroll(0))), num_chunks))
    walk, _, rest = cut_walk(model, kept, num_chunks)
    start = 4 * (num_chunks - 1)
    assert torch.equal(latents_of(walk)[:, :, : start + kept], latents_of(uncut)[:, :, : start + kept])
    assert np.array_equal(walk.c2w[: start + kept], uncut.c2w[: start + kept])
    assert not torch.allclose(latents_of(walk)[:, :, start + kept :], latents_of(uncut)[:, :, start + kept :])
    assert torch.equal(rest.latents, latents_of(walk)[:, :, start + kept :])


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_cut_chunk_describes_all_its_latents(model: RolloutModel, kept: int) -> None:
    walk, _, rest = cut_walk(model, kept)
    assert (rest.index, rest.first_latent, rest.num_frames) == (2, kept, 4 * (4 - kept))
    assert rest.latents.shape[2] == 4 - kept
    assert np.array_equal(rest.poses, walk.c2w[8:])
    assert rest.labels == walk.labels[8:].tolist()
    assert [motion.forward > 0.01 for motion in rest.motions] == [True] * kept + [False] * (4 - kept)


def test_chunk_cut_before_its_first_latent_is_as_if_it_had_been_steered_so_at_once(
    model: RolloutModel,
) -> None:
    at_once = new_walk(model)
    list(islice(rollout(model, at_once, Script(lambda n: spin(n) if n == 6 else stroll(0))), 7))
    walk = new_walk(model)
    list(islice(rollout(model, walk, Script(lambda _: stroll(0))), 6))
    chunk = ChunkRollout(model, walk)
    chunk.begin(Script(stroll)).finish()
    chunk.cut(0, Script(spin)).finish()
    assert torch.equal(latents_of(walk), latents_of(at_once))


def test_cut_does_not_depend_on_who_has_used_the_caches(model: RolloutModel) -> None:
    expected, chunk, _ = cut_walk(model, 1)
    chunk.cut(3, Script(stroll)).finish()
    walk, chunk, _ = cut_walk(model, 1)
    ChunkRollout(model, new_walk(model, seed=5)).begin(Script(spin)).finish()
    chunk.cut(3, Script(stroll)).finish()
    assert torch.equal(latents_of(walk), latents_of(expected))


def test_cut_encodes_nothing_unless_others_have_used_the_caches(
    model: RolloutModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk, chunk, _ = cut_walk(model, 1)
    counts: list[int] = []
    extend = model.transformer.extend_context

    def count(latents: torch.Tensor, *rest: object) -> None:
        counts.append(latents.shape[2])
        extend(latents, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(model.transformer, "extend_context", count)
    chunk.cut(2, Script(stroll)).finish()
    assert counts == []
    ChunkRollout(model, walk).begin(Script(stroll)).advance()
    chunk.cut(3, Script(stroll)).finish()
    assert counts == [12, 8]


@pytest.mark.parametrize("num_chunks", [1, 3])
def test_cuts_that_are_steered_as_before_change_nothing(model: RolloutModel, num_chunks: int) -> None:
    """The model sees whole chunks as in training, so several cuts do not add up to worse pictures."""
    uncut = new_walk(model)
    list(islice(rollout(model, uncut, Script(lambda _: stroll(0))), num_chunks))
    walk, chunk, _ = cut_walk(model, 1, num_chunks)
    for kept in (1, 2, 3):
        chunk.cut(kept, Script(stroll)).finish()
    assert torch.equal(latents_of(walk), latents_of(uncut))


def test_cut_goes_on_from_what_every_cut_before_it_has_made(model: RolloutModel) -> None:
    walk, chunk, _ = cut_walk(model, 1)
    chunk.cut(3, Script(stroll)).finish()
    before = latents_of(walk).clone()
    chunk.cut(2, Script(spin)).finish()
    chunk.cut(3, Script(stroll)).finish()
    assert torch.equal(latents_of(walk)[:, :, :-1], before[:, :, :-1])
    torch.testing.assert_close(latents_of(walk)[:, :, -1], before[:, :, -1])


def test_next_chunk_after_a_cut_has_the_whole_chunk_in_its_context(model: RolloutModel) -> None:
    walk, _, _ = cut_walk(model, 2)
    assert ChunkRollout(model, walk).begin(Script(stroll)).finish().context == list(range(12))


def test_cut_that_is_dropped_leaves_the_walk_unchanged(model: RolloutModel) -> None:
    walk, chunk, _ = cut_walk(model, 1)
    before = latents_of(walk).clone()
    pending = chunk.cut(2, Script(stroll))
    for _ in range(3):
        pending.advance()
    pending.close()
    assert torch.equal(latents_of(walk), before)


def test_new_prompt_does_not_reach_a_chunk_that_is_cut(model: RolloutModel) -> None:
    expected, chunk, _ = cut_walk(model, 1)
    chunk.cut(2, Script(stroll)).finish()
    walk, chunk, _ = cut_walk(model, 1)
    walk.text = [replace(walk.text[0], values=[2 * part for part in walk.text[0].values])]
    ChunkRollout(model, walk).begin(Script(stroll)).advance()
    chunk.cut(2, Script(stroll)).finish()
    assert torch.equal(latents_of(walk), latents_of(expected))


def test_only_another_way_differs(model: RolloutModel) -> None:
    _, chunk, _ = cut_walk(model, 2)
    assert not chunk.differs(3, [spin(0)])
    assert chunk.differs(3, [stroll(0)])


def test_only_what_can_be_seen_differs(model: RolloutModel) -> None:
    """A mouse that trembles must not have pictures made again; what it adds up to must."""
    walk = new_walk(model)
    chunk = ChunkRollout(model, walk)
    chunk.begin(Script(lambda _: Motion())).finish()
    assert not chunk.differs(1, [Motion(yaw=5e-4)] * 3)
    assert chunk.differs(1, [Motion(yaw=1.5e-3)] * 3)
    assert not chunk.differs(1, [Motion(pitch=-5e-4)] * 3)
    assert not chunk.differs(1, [Motion(forward=1e-3)] * 3)
    assert chunk.differs(1, [Motion(right=2e-3)] * 3)
