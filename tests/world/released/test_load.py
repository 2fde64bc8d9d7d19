"""Released models from end to end: tiny ones, in exactly the published layouts."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from support.published import SHAPES
from worldplay.model.ranks import Ranks
from worldplay.world.camera import FORWARD_STEP, Motion
from worldplay.world.chunk import Chunk
from worldplay.world.live_walk import LiveWalk
from worldplay.world.released import load as load_module
from worldplay.world.released import offload_plan
from worldplay.world.released.load import ReleasedConfig, choose_plan, load_released, load_released_networks
from worldplay.world.released.memory_estimate import count_other_rank, estimate_memory
from worldplay.world.released.offload_plan import RESERVE, OffloadMode, plan_offload
from worldplay.world.released.variants import VARIANTS, find_variant
from worldplay.world.steering import Move, WalkRequest
from worldplay.world.world import World

SIZE = (32, 64)
PROMPT = 'A market with a sign that says "Fish"'


class CircleSteering:
    def predict(self, num_latents: int) -> list[Move]:
        return [Motion(forward=FORWARD_STEP)] * num_latents

    latch = predict


def load(root: Path, variant: str = "ar-distilled", budget: int | None = None) -> World:
    torch.set_num_threads(1)
    config = ReleasedConfig(find_variant(variant), SIZE, shapes=SHAPES)
    return load_released(config, root, torch.device("cpu"), budget)


@pytest.fixture(scope="module")
def distilled(layouts: dict[str, Path]) -> World:
    """The fast variant with all the memory it wants; not to be changed."""
    return load(layouts["diffusers"])


def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def open_walk(world: World, steps: int = 2) -> LiveWalk:
    return world.open_walk(WalkRequest(picture=world.crop(picture()), prompt=PROMPT, seed=7, steps=steps))


def chunks(walk: LiveWalk, count: int) -> list[Chunk]:
    return [walk.begin_chunk(CircleSteering()).finish() for _ in range(count)]


def test_walk_through_a_released_model(distilled: World) -> None:
    walk = open_walk(distilled)
    for number, chunk in enumerate(chunks(walk, 2)):
        frames = np.concatenate(list(walk.decode(chunk)))
        assert frames.shape == (16 if number else 13, 32, 64, 3)
        assert frames.std() > 0
    assert chunk.context == [0, 1, 2, 3]


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_layouts_give_the_same_latents(layouts: dict[str, Path], variant: str) -> None:
    one, other = (open_walk(load(root, variant)) for root in layouts.values())
    torch.testing.assert_close(one.walk.image_latent, other.walk.image_latent, atol=1e-5, rtol=0)
    for a, b in zip(chunks(one, 1), chunks(other, 1), strict=True):
        assert torch.isfinite(a.latents).all()
        torch.testing.assert_close(a.latents, b.latents, atol=1e-5, rtol=0)


def test_both_layouts_give_the_same_conditioning(layouts: dict[str, Path]) -> None:
    latent = torch.zeros(1, 4, 1, 2, 4)
    one, other = (load(root).conditioner.encode(PROMPT, picture(), latent) for root in layouts.values())
    for name in ("text_states", "text_mask", "byt5_states", "byt5_mask", "vision_states"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1e-5, rtol=0)
    assert one.byt5_mask.all()


def test_guidance_has_a_second_text_cache(layouts: dict[str, Path]) -> None:
    world = load(layouts["diffusers"], "ar")
    walk = open_walk(world)
    assert (len(world.rollout.caches), len(walk.walk.text)) == (2, 2)
    assert walk.walk.text[0].length < walk.walk.text[1].length  # the negative prompt is empty
    assert chunks(walk, 2)[1].context == [0, 1, 2, 3]


def test_guidance_of_one_is_the_prompt_alone(layouts: dict[str, Path], distilled: World) -> None:
    guided, plain = (
        chunks(open_walk(world), 1)[0] for world in (load(layouts["diffusers"], "ar"), distilled)
    )
    assert not torch.allclose(guided.latents, plain.latents)


def test_bidirectional_clip(layouts: dict[str, Path]) -> None:
    walk = open_walk(load(layouts["original"], "bidirectional"), steps=1)
    made = chunks(walk, 2)
    assert [chunk.num_frames for chunk in made] == [61, 64]
    assert made[1].context == list(range(16))
    assert np.concatenate(list(walk.decode(made[0]))).shape == (61, 32, 64, 3)


def test_bidirectional_rollout_that_is_given_up_leaves_no_trace(layouts: dict[str, Path]) -> None:
    walk = open_walk(load(layouts["original"], "bidirectional"))
    pending = walk.begin_chunk(CircleSteering())
    assert pending.advance() is None
    pending.close()
    assert walk.num_chunks == 0


def test_prompt_may_change_on_the_way(distilled: World) -> None:
    walks = [open_walk(distilled) for _ in range(2)]
    for walk in walks:
        chunks(walk, 1)
    walks[1].set_prompt("A desert")
    kept, changed = (chunks(walk, 1)[0].latents for walk in walks)
    assert not torch.allclose(kept, changed)


def test_prompts_and_images_are_encoded_once(distilled: World) -> None:
    first = distilled.conditioner.encode(PROMPT, picture(), torch.zeros(1, 4, 1, 2, 4))
    again = distilled.conditioner.encode(PROMPT, picture(), torch.zeros(1, 4, 1, 2, 4))
    assert again.text_states is first.text_states
    assert again.vision_states is first.vision_states


def budget_for(unrotated_caches: bool, encoders: OffloadMode, text_stream: OffloadMode) -> int:
    """The least memory with which the plan comes to this choice."""
    variant = find_variant("ar-distilled")
    needed = estimate_memory(variant, SIZE, SHAPES)
    plan = plan_offload(needed, 1, None)
    while (plan.unrotated_caches, plan.encoders, plan.text_stream) != (
        unrotated_caches,
        encoders,
        text_stream,
    ):
        plan = plan_offload(needed, 1, plan.peak - 1)
    return plan.peak


@pytest.mark.parametrize(
    ("unrotated_caches", "encoders", "text_stream"),
    [
        (False, OffloadMode.ON_DEVICE, OffloadMode.ON_DEVICE),
        (False, OffloadMode.SWAPPED, OffloadMode.SWAPPED),
        (False, OffloadMode.ON_CPU, OffloadMode.ON_DEVICE),
        (True, OffloadMode.ON_CPU, OffloadMode.SWAPPED),
    ],
)
def test_every_plan_gives_the_same_latents(
    layouts: dict[str, Path],
    distilled: World,
    unrotated_caches: bool,
    encoders: OffloadMode,
    text_stream: OffloadMode,
) -> None:
    budget = budget_for(unrotated_caches, encoders, text_stream)
    tight = chunks(open_walk(load(layouts["diffusers"], budget=budget)), 2)[1]
    roomy = chunks(open_walk(distilled), 2)[1]
    torch.testing.assert_close(tight.latents, roomy.latents, atol=1e-5, rtol=0)


def test_too_little_memory_is_said_before_anything_is_loaded(layouts: dict[str, Path]) -> None:
    with pytest.raises(
        ValueError, match=r"ar-distilled at 32x64 needs .* GB .* 0.0 GB are free; take a smaller"
    ):
        load(layouts["diffusers"], budget=1000)


@pytest.mark.parametrize(("variant", "most"), [("ar-distilled", 2), ("bidirectional", 0)])
def test_fewer_visitors_where_there_is_memory_for_fewer(variant: str, most: int) -> None:
    found = find_variant(variant)
    config = ReleasedConfig(found, SIZE, 4 if most else 0, 1, SHAPES)
    needed = estimate_memory(found, SIZE, SHAPES)
    budget = plan_offload(needed, most + 1, 0).peak  # and a clip
    plan, sessions = choose_plan(config, needed, budget)
    assert (plan.fits, sessions) == (True, most)
    with pytest.raises(ValueError, match="GB of GPU memory"):
        choose_plan(config, needed, budget - most * (needed.walk + needed.walk_latents) - 1)


@pytest.mark.parametrize(
    ("host", "keeps", "planned"),
    [
        (64e9, True, (OffloadMode.SWAPPED, OffloadMode.SWAPPED, 1)),
        (16e9, True, (OffloadMode.ON_DEVICE, OffloadMode.ON_DEVICE, 4)),  # nothing can be moved to the host
        (64e9, False, (OffloadMode.ON_DEVICE, OffloadMode.ON_DEVICE, 4)),
    ],
)
def test_tiers_keep_context_for_one_visitor_rather_than_for_none(
    host: float, keeps: bool, planned: tuple[OffloadMode, OffloadMode, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an H100, at the size at which tier fast is in real time only with kept context."""
    monkeypatch.setattr(load_module, "available_memory", lambda: host)
    distilled = find_variant("ar-distilled")
    config = ReleasedConfig(distilled, (352, 640), 4, 1, tiny_decoder=True, keeps_context=keeps)
    plan, sessions = choose_plan(config, config.estimate(), 83_500_000_000)
    assert (plan.encoders, plan.text_stream, sessions) == planned


@pytest.mark.parametrize(
    ("spare_sets", "shares", "sets"), [(0, False, 1), (1, False, 2), (9, False, 3), (9, True, 1)]
)
def test_walks_have_caches_of_their_own_where_there_is_memory(
    layouts: dict[str, Path], spare_sets: int, shares: bool, sets: int
) -> None:
    needed = estimate_memory(find_variant("ar"), SIZE, SHAPES)
    plan = plan_offload(needed, 3, None)
    budget = plan.peak + needed.working + spare_sets * needed.caches
    config = ReleasedConfig(find_variant("ar"), SIZE, 2, 1, SHAPES, keeps_context=shares)
    world = load_released(config, layouts["diffusers"], torch.device("cpu"), budget)
    assert [len(caches) for caches in world.rollout.cache_sets] == [2] * sets
    assert (world.max_sessions, world.spare_bytes) == (2, spare_sets * needed.caches)


@pytest.mark.parametrize(("spare_sets", "sets"), [(0, 1), (1, 2), (9, 3)])
def test_every_rank_has_memory_for_all_caches(layouts: dict[str, Path], spare_sets: int, sets: int) -> None:
    needed = estimate_memory(find_variant("ar"), SIZE, SHAPES)
    takes = count_other_rank(needed, 3, 1 + spare_sets, unrotated=False) + needed.working + RESERVE
    ranks = Ranks()
    ranks.free = {1: 10**12, 2: takes}
    config = ReleasedConfig(find_variant("ar"), SIZE, 2, 1, SHAPES)
    world = load_released(config, layouts["diffusers"], torch.device("cpu"), 10**12, ranks)
    assert len(world.rollout.cache_sets) == sets


def test_gpu_that_is_too_full_for_its_rank_is_named(layouts: dict[str, Path]) -> None:
    ranks = Ranks()
    ranks.free = {1: 10**12, 2: RESERVE}
    config = ReleasedConfig(find_variant("ar"), SIZE, 2, 1, SHAPES)
    expected = r"^GPU 2 has only 1\.0 GB free, its rank needs 1\.0 GB; stop what else uses it, or choose"
    with pytest.raises(ValueError, match=expected):
        load_released(config, layouts["diffusers"], torch.device("cpu"), 10**12, ranks)


def test_cpu_without_the_memory_is_said_before_anything_is_loaded(
    layouts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload_plan, "available_memory", lambda: 10**5)
    expected = r"^ar-distilled at 32x64 on a CPU needs about .* GB of the machine's own memory, 0.0 GB are"
    with pytest.raises(OSError, match=expected):
        load(layouts["diffusers"])


@pytest.mark.parametrize(
    "name",
    [
        "vae",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "image_encoder/config.json",
    ],
)
def test_command_that_mends_is_said_once(layouts: dict[str, Path], tmp_path: Path, name: str) -> None:
    root = tmp_path / "weights"
    shutil.copytree(layouts["diffusers"], root)
    path = root / "HunyuanVideo-1.5-Diffusers-480p_i2v" / name
    shutil.rmtree(path) if name == "vae" else path.write_text("{")
    with pytest.raises((OSError, ValueError)) as e:
        load(root)
    assert str(path) in str(e.value)
    command = f"run `worldplay download --variant ar-distilled --weights-dir {root}`"
    assert str(e.value).endswith(f"; {command}")
    assert str(e.value).count("run `") == 1


@pytest.mark.parametrize("tiny", [False, True])
def test_other_ranks_load_only_what_they_compute(layouts: dict[str, Path], tiny: bool) -> None:
    """Pictures are encoded by rank 0, and a tiny decoder shows the latents there."""
    config = replace(ReleasedConfig(find_variant("ar-distilled"), SIZE, shapes=SHAPES), tiny_decoder=tiny)
    _, other = load_released_networks(config, layouts["diffusers"], torch.device("cpu"))
    first = load_released(config, layouts["diffusers"], torch.device("cpu"), None).vae
    found = [{p.device.type for p in part.parameters()} for part in (other.encoder, other.decoder)]
    assert found == [{"meta"}, {"meta" if tiny else "cpu"}]
    found = [{p.device.type for p in part.parameters()} for part in (first.encoder, first.decoder)]
    assert found == [{"cpu"}, {"meta" if tiny else "cpu"}]


def test_link_to_weights_that_are_gone(layouts: dict[str, Path], tmp_path: Path) -> None:
    """The hub's cache consists of links, and its files may be removed apart from them."""
    root = tmp_path / "weights"
    shutil.copytree(layouts["diffusers"], root)
    path = root / "HunyuanVideo-1.5-Diffusers-480p_i2v" / "image_encoder" / "model.safetensors"
    path.unlink()
    path.symlink_to("gone")
    with pytest.raises(
        OSError, match=r"image_encoder has no .*model\.safetensors.*; run `worldplay download"
    ):
        load(root)


def test_views_have_open_ground(distilled: World) -> None:
    walk = distilled.open_walk(WalkRequest(seed=1, steps=1))
    assert not any(chunk.bumped for chunk in chunks(walk, 2))
