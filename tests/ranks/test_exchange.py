"""Several ranks compute what one does: goldens, and walks that are cut, dropped, rewound and closed.

That one rank passes the same goldens is in tests/scripts.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial, partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import check_goldens
from goldens import networks, vae_cases
from goldens.cases import Case, load_case, read_manifest
from goldens.compare import compare
from goldens.weights import fill
from support import tiny_world
from support.gpu_branches import CACHE, PRODUCTS, gpu_branches
from support.live_and_offline import LABELS, walk_live_and_offline
from support.paths import GOLDENS
from support.published import TRANSFORMER, VAE
from support.ranks import ranks_on_this_cpu, share
from support.tiny import TINY
from support.tiny_world import make_world
from support.walks import latents_of
from worldplay.commands.bench import RandomModel, build, measure
from worldplay.commands.bench_report import render
from worldplay.model import tiny_decoder
from worldplay.model.attention import EIGHT_BITS
from worldplay.model.config import CHUNK_LATENTS, VAEConfig
from worldplay.model.packing import RoundedProjections
from worldplay.model.ranks import ALONE, Ranks
from worldplay.model.tiny_decoder import LATENT_CHANNELS, TinyDecoder
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.model.vae_stream import FeatureCache
from worldplay.ranks.exchange import split_rows
from worldplay.ranks.leader import Leader
from worldplay.world import tiers
from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion
from worldplay.world.released.load import ReleasedConfig, load_released, load_released_networks
from worldplay.world.released.memory_estimate import Shapes
from worldplay.world.released.random_weights import build_networks
from worldplay.world.released.variants import find_variant
from worldplay.world.steering import CircleSteering, TrajectorySteering, WalkRequest
from worldplay.world.tier import TierName
from worldplay.world.tiers import apply_tier
from worldplay.world.world import World

pytestmark = pytest.mark.slow  # it starts processes that import PyTorch

MANIFEST = read_manifest(GOLDENS)
VAE_TO_TIME = VAEConfig(
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
RELEASED = ReleasedConfig(find_variant("ar-distilled"), (64, 96), shapes=Shapes(TRANSFORMER, VAE))
ROLLOUTS = [name for name, case in MANIFEST.cases.items() if case["kind"] == "rollout"]
WAYS = ("as built", "packed", "branches of a GPU", "unrotated")
ON_FOUR = {"rollout": ("branches of a GPU", "unrotated"), "rollout_guidance": ("as built", "packed")}
TURN = Motion(forward=FORWARD_STEP, yaw=TURN_STEP)


@pytest.fixture(scope="module", params=[2, 4])
def ranks(request: pytest.FixtureRequest) -> Iterator[Leader]:
    with ranks_on_this_cpu(request.param) as ranks:
        yield ranks


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ROLLOUTS)
def test_rollout(ranks: Leader, monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    if ranks.size == 4 and way not in ON_FOUR[name]:
        pytest.skip("two ranks show it, and take less time")

    def fill_and_share(model: WorldPlayTransformer) -> WorldPlayTransformer:
        fill(model).eval()
        if way == "packed":
            model.pack()
        share(ranks, model)
        return model

    monkeypatch.setattr(networks, "fill", fill_and_share)
    if way == "unrotated":
        new_cache = WorldPlayTransformer.new_cache
        monkeypatch.setattr(WorldPlayTransformer, "new_cache", partialmethod(new_cache, unrotated=True))
    # On rank 0; it does not matter how another rank stores its heads.
    as_on_gpu = way == "branches of a GPU"
    with gpu_branches(monkeypatch) if as_on_gpu else nullcontext() as taken:
        row = check_goldens.check_case(MANIFEST, name)
    assert not as_on_gpu or taken == PRODUCTS | CACHE
    assert row.failures == []
    assert row.outputs == len(MANIFEST.cases[name]["outputs"])


@torch.inference_mode()
def test_decoder(ranks: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_and_share(case: Case) -> StreamingVAE:
        vae = build_vae(case)
        share(ranks, vae)
        return vae

    build_vae: Callable[[Case], StreamingVAE] = vae_cases._build
    monkeypatch.setattr(vae_cases, "_build", build_and_share)
    case = load_case(MANIFEST, "vae")
    assert compare(case, vae_cases.run_vae(case)).failures == []


def test_walks_in_turn(ranks: Leader) -> None:
    alone, shared = walk_about_alone(), walk_about(make_world(ranks))
    for expected, (got, frames), (_, expected_frames) in zip(
        (latents for latents, _ in alone), shared, alone, strict=True
    ):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
        assert np.abs(frames.astype(int) - expected_frames).max() <= 1


TIER_OF: dict[int, TierName] = {2: "balanced", 4: "fast"}  # each once, to save time


def test_walks_in_a_tier(ranks: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank rounds the same layers and its own heads, and keeps the context of its heads."""
    monkeypatch.setattr(tiers, "find_rounding_problem", lambda device: None)
    monkeypatch.setattr(tiny_world, "TINY", replace(TINY, blocks=3))  # the one in the middle is rounded
    alone, shared = (keep_walking(make_in_tier(each, TIER_OF[ranks.size])) for each in (ALONE, ranks))
    for expected, got in zip(alone, shared, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_walks_guided_by_history(ranks: Leader) -> None:
    """Each rank hides the same context of its heads."""
    alone, plain = keep_walking_alone(1.5), keep_walking_alone(1.0)
    shared = keep_walking(guide_by_history(make_world(ranks), 1.5))
    for expected, got, unguided in zip(alone, shared, plain, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
        assert (expected - unguided).abs().max() > 0.01


@cache
def keep_walking_alone(guidance: float) -> list[Tensor]:
    return keep_walking(guide_by_history(make_world(), guidance))


def guide_by_history(world: World, guidance: float) -> World:
    config = replace(world.rollout.config, history_guidance=guidance, memory_latents=2 * CHUNK_LATENTS)
    return replace(world, rollout=replace(world.rollout, config=config))


def make_in_tier(ranks: Ranks, tier: TierName) -> World:
    world = apply_tier(make_world(ranks, packs=True), tier, compiles=True, walks=2, tiny_decoder=None)
    assert world.rollout.keeping is not None
    assert isinstance(world.rollout.transformer.blocks[1].packed, RoundedProjections)
    world.rollout.transformer.use_attention(EIGHT_BITS)
    return world


def test_tiny_decoder_needs_no_other_rank(ranks: Leader) -> None:
    world, tiny = make_world(ranks), TinyDecoder().requires_grad_(False)
    world.vae.use_tiny_decoder(tiny)
    latents, expected = torch.randn(2, 1, LATENT_CHANNELS, 1, 2, 3), FeatureCache()
    state = world.vae.new_decoder_state()
    for latent in latents:
        assert torch.equal(world.vae.decode_latent(latent, state), tiny.decode(latent, expected))


def keep_walking(world: World) -> list[Tensor]:
    """Walk two ways in turn until context is read back, cut, rewind and change a prompt. Returns: latents."""
    walks = [world.open_walk(WalkRequest(seed=seed, prompt="A")) for seed in (1, 2)]
    for _ in range(4):
        for chunk in [walk.begin_chunk(CircleSteering()) for walk in walks]:
            chunk.finish()
    walks[0].begin_cut(1, TrajectorySteering([TURN] * 3)).finish()
    walks[0].begin_chunk(CircleSteering()).finish()
    walks[1].truncate(3)
    walks[1].begin_chunk(CircleSteering()).finish()
    walks[1].set_prompt("B")
    walks[1].begin_chunk(CircleSteering()).finish()
    return [walk.walk.latents.gather(range(walk.walk.num_latents)) for walk in walks]


@cache
def walk_about_alone() -> list[tuple[Tensor, np.ndarray]]:
    return walk_about(make_world())


def walk_about(world: World) -> list[tuple[Tensor, np.ndarray]]:
    """Walk two ways in turn, with all that a visitor may do. Returns: each one's latents and frames."""
    first, second, third = (world.open_walk(WalkRequest(seed=seed, prompt="A")) for seed in (1, 2, 3))
    shown: list[list[np.ndarray]] = [[], []]
    shown[0] += first.decode(first.begin_chunk(CircleSteering()).finish())
    dropped = second.begin_chunk(CircleSteering())
    dropped.advance()
    dropped.advance()
    dropped.close()
    third.begin_chunk(CircleSteering()).finish()
    del third, dropped
    gc.collect()
    chunk = second.begin_chunk(CircleSteering()).finish()
    decoding = second.decode(chunk)
    shown[1].append(next(decoding))
    shown[0] += first.decode(first.begin_chunk(CircleSteering()).finish())
    cut = second.begin_cut(1, TrajectorySteering([TURN] * 3)).finish()
    shown[1] += second.decode(cut)
    first.truncate(1)
    first.set_prompt("Another prompt")
    shown[0] += first.decode(first.begin_chunk(CircleSteering()).finish())
    walks = (first, second)
    latents = [latents_of(walk) for walk in walks]
    return [(each, np.concatenate(frames)) for each, frames in zip(latents, shown, strict=True)]


def test_live_and_offline_make_equal_latents(ranks: Leader) -> None:
    live, offline, _ = walk_live_and_offline(make_world(ranks))
    assert live.walk.labels.tolist() == offline.walk.labels.tolist() == LABELS
    frames = range(live.walk.num_latents)
    assert torch.equal(live.walk.latents.gather(frames), offline.walk.latents.gather(frames))


def test_released_model(ranks: Leader, layouts: dict[str, Path]) -> None:
    root = layouts["diffusers"]
    ranks.load(partial(load_released_networks, RELEASED, root))
    expected, expected_frames = walk_released_alone(root)
    latents, frames = walk_released(root, ranks)
    assert (latents - expected).norm() <= 0.02 * expected.norm()  # bfloat16, where the CPU has it
    assert np.abs(frames - expected_frames).mean() <= 1.0


def walk_released(root: Path, ranks: Ranks) -> tuple[Tensor, np.ndarray]:
    """Walk for two chunks. Returns: their latents, and the second one's frames."""
    world = load_released(RELEASED, root, torch.device("cpu"), None, ranks)
    walk = world.open_walk(WalkRequest(seed=1, prompt="Sand"))
    for _ in range(2):
        decoded = list(walk.decode(walk.begin_chunk(CircleSteering()).finish()))
    return walk.walk.latents.gather(range(8)).float(), np.concatenate(decoded).astype(int)


@cache
def walk_released_alone(root: Path) -> tuple[Tensor, np.ndarray]:
    return walk_released(root, ALONE)


def test_released_model_with_a_tiny_decoder(
    ranks: Leader, layouts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other ranks have no autoencoder then, and are asked for nothing of it."""
    if ranks.size == 4:
        pytest.skip("two ranks show it, and take less time")
    monkeypatch.setattr(tiny_decoder, "LATENT_CHANNELS", VAE.latent_channels)
    config = replace(RELEASED, size=(32, 64), tiny_decoder=True)
    ranks.load(partial(load_released_networks, config, layouts["diffusers"]))
    world = load_released(config, layouts["diffusers"], torch.device("cpu"), None, ranks)
    world.vae.use_tiny_decoder(TinyDecoder().to(world.rollout.transformer.dtype).requires_grad_(False))
    walk = world.open_walk(WalkRequest(seed=1, prompt="Sand", steps=1))
    frames = [*walk.decode(walk.begin_chunk(CircleSteering()).finish())]
    walk.begin_chunk(CircleSteering()).finish()
    walk.truncate(1)
    frames += walk.decode(walk.begin_chunk(CircleSteering()).finish())
    assert [len(each) for each in frames] == [1, *[4] * 7]


def test_benchmark(ranks: Leader) -> None:
    if ranks.size == 4:
        pytest.skip("two ranks show it, and take less time")
    tiny = RandomModel((16, 24), 8, transformer=TINY, vae=VAE_TO_TIME)
    ranks.load(partial(build_networks, TINY, VAE_TO_TIME))
    report = measure(build(tiny, "cpu", ranks), chunks=1)
    assert report.ranks == 2
    assert "2 ranks of " in render(report)


@pytest.mark.parametrize(
    ("height", "ranks", "rows"),
    [(30, 8, [3, 4, 4, 4, 3, 4, 4, 4]), (6, 4, [1, 2, 1, 2]), (5, 1, [5]), (4, 4, [1] * 4)],
)
def test_rows_differ_by_at_most_one(height: int, ranks: int, rows: list[int]) -> None:
    assert split_rows(height, ranks) == rows
