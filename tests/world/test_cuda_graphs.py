"""Whole walks on recorded passes: the same latents and pictures as without."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from support.tape import TapeRecorder
from support.tiny_world import ROLLOUT, TEXT_TOKENS, VISION_TOKENS, make_world
from worldplay.model.graphs import Graphs
from worldplay.world.cuda_graphs import record_world, use_recordings
from worldplay.world.live_walk import LiveWalk
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.warm_up import warm_up_decoder
from worldplay.world.world import World


def make_recorded(monkeypatch: pytest.MonkeyPatch) -> tuple[World, list[Graphs]]:
    """A world with recordings, and what holds them: of the transformer, and of the decoder."""
    made: list[Graphs] = []
    world = make_world()
    for part in (world.rollout.transformer, world.vae):
        use_graphs = part.use_graphs

        def use(graphs: Graphs, use_graphs=use_graphs) -> None:  # type: ignore[no-untyped-def]
            made.append(graphs)
            use_graphs(graphs)

        monkeypatch.setattr(part, "use_graphs", use)
    return use_recordings(world, TapeRecorder, None), made


def open_walk(world: World, seed: int = 0, prompt: str = "") -> LiveWalk:
    return world.open_walk(WalkRequest(seed=seed, prompt=prompt))


def advance(walk: LiveWalk) -> tuple[torch.Tensor, np.ndarray]:
    chunk = walk.begin_chunk(CircleSteering()).finish()
    return chunk.latents, np.concatenate(list(walk.decode(chunk)))


def assert_same(walks: list[LiveWalk]) -> None:
    (latents, frames), (expected_latents, expected_frames) = map(advance, walks)
    torch.testing.assert_close(latents, expected_latents, rtol=0, atol=0)
    np.testing.assert_array_equal(frames, expected_frames)


def test_a_walk_is_the_same_and_records_nothing_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        recorded, graphs = make_recorded(monkeypatch)
    lengths = ROLLOUT.memory_latents // ROLLOUT.chunk_latents
    assert [each.count for each in graphs] == [2 * lengths + 2, 1], (
        "contexts, steps, what these share; a latent"
    )
    assert f"recorded {2 * lengths + 3} passes in" in caplog.text
    walks = [open_walk(world) for world in (recorded, make_world())]
    for _ in range(6):
        assert_same(walks)
    assert [each.count for each in graphs] == [2 * lengths + 2, 1]


def test_two_walks_in_turns_with_prompts_cuts_and_rewinds(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, _ = make_recorded(monkeypatch)
    first, second = (
        [open_walk(w, seed, p) for w in (recorded, make_world())] for seed, p in ((1, "a"), (2, "bc"))
    )
    for turn in range(4):
        assert_same(first)
        assert_same(second)
        if turn == 1:
            for walk in first:
                walk.set_prompt("another prompt")
        latents = [walk.begin_cut(1, CircleSteering()).finish().latents for walk in second]
        torch.testing.assert_close(*latents, rtol=0, atol=0)
        if turn == 2:
            for walk in second:
                walk.truncate(1)


def test_the_first_cut_at_each_latent_records_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, graphs = make_recorded(monkeypatch)
    walks = [open_walk(world) for world in (recorded, make_world())]
    for _ in range(ROLLOUT.memory_latents // ROLLOUT.chunk_latents + 1):
        assert_same(walks)
    counts = [each.count for each in graphs]
    for kept in (3, 1, 2, 0, 1):
        latents = [walk.begin_cut(kept, CircleSteering()).finish().latents for walk in walks]
        torch.testing.assert_close(*latents, rtol=0, atol=0)
    assert [each.count for each in graphs] == counts


def test_a_chunk_that_is_dropped_between_two_stages_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, _ = make_recorded(monkeypatch)
    walks = [open_walk(world) for world in (recorded, make_world())]
    assert_same(walks)
    others = [open_walk(recorded, 5), open_walk(make_world(), 5)]
    for walk in walks:
        pending = walk.begin_chunk(CircleSteering())
        pending.advance()
        pending.advance()
        pending.close()
    assert_same(others)
    assert_same(walks)


def test_recordings_need_a_gpu() -> None:
    with pytest.raises(ValueError, match=r"^expected a GPU for --graphs on, got cpu; take --graphs auto$"):
        record_world(make_world(), "on")


@pytest.mark.parametrize("choice", ["auto", "off"])
def test_a_cpu_launches_every_operation(choice: str) -> None:
    world = record_world(make_world(), choice)
    assert world.rollout.transformer._graphs is None
    assert world.vae._steady is None


@dataclass
class Memory:
    """Has room for some bytes."""

    free: int
    started: bool = False

    def start(self) -> None:
        self.started = True

    def has_room(self, kept: int) -> bool:
        assert self.started
        return self.free >= kept


def test_recordings_need_memory(caplog: pytest.LogCaptureFixture) -> None:
    state = warm_up_decoder(make_world())
    with caplog.at_level("INFO"):
        short = use_recordings(make_world(), TapeRecorder, Memory(state.num_bytes - 1))
    assert "operations are launched one by one, because there is no memory for recordings" in caplog.text
    assert (short.rollout.transformer._graphs, short.vae._steady) == (None, None)
    enough = use_recordings(make_world(), TapeRecorder, Memory(state.num_bytes))
    assert enough.rollout.transformer._graphs is not None
    three = use_recordings(
        replace(make_world(), max_sessions=3), TapeRecorder, Memory(3 * state.num_bytes - 1)
    )
    assert three.vae._steady is None


def test_both_branches_of_guidance_are_recorded() -> None:
    """Each has a cache of its own, and so recordings of its own."""
    walks = []
    for record in (True, False):
        world = make_world()
        transformer, config = world.rollout.transformer, replace(ROLLOUT, guidance=2.0)
        (cache,) = world.rollout.caches
        side = world.vae.config.pixels_per_latent
        grid = world.height // side, world.width // side
        other = transformer.new_cache(grid, TEXT_TOKENS + VISION_TOKENS, ROLLOUT.memory_latents)
        rollout = replace(world.rollout, caches=[other, cache], config=config)
        world = replace(world, rollout=rollout)
        walks.append(
            open_walk(use_recordings(world, TapeRecorder, None) if record else world, prompt="a door")
        )
    for _ in range(5):
        assert_same(walks)


def test_walks_with_caches_of_their_own_are_recorded_each() -> None:
    """Twice as many passes: 4 steps and 3 context passes for each set, and the constants of a chunk."""
    worlds = []
    for record in (True, False):
        world = make_world()
        side = world.vae.config.pixels_per_latent
        grid = world.height // side, world.width // side
        more = world.rollout.transformer.new_cache(grid, TEXT_TOKENS + VISION_TOKENS, ROLLOUT.memory_latents)
        world = replace(world, rollout=replace(world.rollout, more_caches=([more],)))
        worlds.append(use_recordings(world, TapeRecorder, None) if record else world)
    graphs = worlds[0].rollout.transformer._graphs
    assert graphs is not None
    assert graphs.count == 2 * (4 + 3) + 1
    first, second = ([open_walk(world, seed) for world in worlds] for seed in (1, 2))
    for _ in range(5):
        assert_same(first)
        assert_same(second)
