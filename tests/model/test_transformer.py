from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

from support.tiny import GRID, TINY, Latents, enter, make_cache, make_latents, make_model
from worldplay.model import attention, blocks
from worldplay.model.heads import Heads
from worldplay.model.kv_cache import KVCache
from worldplay.model.prope import Cameras
from worldplay.model.token_positions import TokenPositions
from worldplay.model.transformer import WorldPlayTransformer


def test_parameters_carry_the_published_names() -> None:
    names = make_model().state_dict().keys()
    block = {name.removeprefix("double_blocks.1.") for name in names if name.startswith("double_blocks.1.")}
    linears = ["mod.linear", "attn_q", "attn_k", "attn_v", "attn_proj", "mlp.fc1", "mlp.fc2"]
    expected = {f"{s}_{part}.{p}" for s in ("img", "txt") for part in linears for p in ("weight", "bias")}
    expected |= {f"{s}_attn_{x}_norm.weight" for s in ("img", "txt") for x in "qk"}
    assert block == expected | {"img_attn_prope_proj.weight", "img_attn_prope_proj.bias"}
    assert {name.split(".")[0] for name in names} == {
        *("img_in", "time_in", "action_in", "txt_in", "byt5_in", "vision_in"),
        *("cond_type_embedding", "double_blocks", "final_layer"),
    }


def test_released_configuration_has_the_published_size() -> None:
    released = replace(
        TINY,
        hidden=2048,
        heads=16,
        rope_dims=(16, 56, 56),
        blocks=54,
        latent_channels=32,
        mlp_ratio=4.0,
        text_dim=3584,
        vision_dim=1152,
        byt5_dim=1472,
        byt5_hidden=2048,
        refiner_blocks=2,
    )
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in WorldPlayTransformer(released).parameters())
    assert round(count / 1e9, 3) == 8.558


@torch.inference_mode()
def test_context_pass_stops_at_the_last_blocks_keys_and_values(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    seen, appended = [], []
    for module in (model.blocks[-1].img_mlp, model.final_layer):
        module.register_forward_hook(lambda *_: seen.append(True))
    cache, attended = make_cache(model), []

    def extend(block: int, own: Heads) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        appended.append(block)
        return KVCache.extend(cache, block, own)

    def attend(*arguments: Any) -> torch.Tensor:
        attended.append(True)
        return attention.attend(*arguments)

    monkeypatch.setattr(cache, "extend", extend)
    monkeypatch.setattr(blocks, "attend", attend)
    model.encode_context(*make_latents(model, 4).arguments(), cache)
    assert appended == [0, 1]
    assert attended == [True]
    assert seen == []


@torch.inference_mode()
def test_context_and_chunk_in_one_pass_equal_cached_ones_when_context_sees_only_itself() -> None:
    """With one block, what context tokens attend to changes nothing that the chunk attends to."""
    model = make_model(replace(TINY, blocks=1))
    both = make_latents(model, 8)
    cache = make_cache(model)
    times = torch.tensor([14.0] * 4 + [625.0] * 4)
    whole = model.denoise(*both.arguments(), times, cache)
    context, chunk = (part(both, piece) for piece in (slice(0, 4), slice(4, 8)))
    model.encode_context(*context, cache)
    cached = model.denoise(*chunk, 625.0, cache)
    torch.testing.assert_close(cached, whole[:, :, 4:], atol=1e-5, rtol=1e-5)


def part(latents: Latents, piece: slice) -> tuple[torch.Tensor, torch.Tensor, Cameras, torch.Tensor]:
    cameras = latents.cameras
    cut = type(cameras)(cameras.query[:, piece], cameras.key_value[:, piece], cameras.output[:, piece])
    return latents.latents[:, :, piece], latents.cond[:, :, piece], cut, latents.actions[:, piece]


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_weights_compute_the_same(dtype: torch.dtype) -> None:
    velocities = []
    for packed in (False, True):
        model = make_model().to(dtype)
        cache = make_cache(model)
        if packed:
            model.pack()
        model.encode_context(*make_latents(model, 4).arguments(), cache)
        velocities.append(model.denoise(*make_latents(model, 4, seed=3).arguments(), 625.0, cache))
    torch.testing.assert_close(*velocities)


def test_packing_takes_no_more_memory() -> None:
    model = make_model()
    before = sum(parameter.numel() for parameter in model.parameters())
    model.pack()
    weights = [*model.parameters(), *model.buffers()]
    assert (
        sum(weight.numel() for weight in weights) == before - TINY.blocks * TINY.hidden
    )  # two biases are one


def test_packed_weights_of_a_cpu_in_float32_lie_inputs_first() -> None:
    for dtype, inputs_first in ((torch.float32, True), (torch.bfloat16, False)):
        model = make_model().to(dtype)
        model.pack()
        linears = [layer.weight for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
        packed = [block.projections() for block in model.blocks]
        assert model._modulators is not None
        linears.append(model._modulators.get_buffer("weight"))
        for weight in (*linears, *(part for each in packed for part in (each.heads, each.output))):
            assert isinstance(weight, torch.Tensor)
            assert weight.t().is_contiguous() == inputs_first, weight.shape


@torch.inference_mode()
def test_modulations_are_kept_by_action_and_timestep() -> None:
    model = make_model()
    latents = make_latents(model, 3, batch=2)
    expected = enter(model, latents)[1]
    model.pack()
    seen: list[object] = []
    model.time_in.register_forward_hook(lambda *_: seen.append(1))
    for _ in range(2):
        torch.testing.assert_close(enter(model, latents)[1], expected)
    assert len(seen) == len(latents.actions.unique())
    enter(model, latents, timestep=625.0)
    assert len(seen) == 2 * len(latents.actions.unique())
    assert enter(deepcopy(model).to(torch.bfloat16), latents)[1].last.dtype == torch.bfloat16


@torch.inference_mode()
def test_steps_of_a_chunk_share_what_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    cache, placed = make_cache(model), list[object]()

    def positions_of(*arguments: Any) -> TokenPositions:
        placed.append(arguments)
        return type(model).positions_of(model, *arguments)

    monkeypatch.setattr(model, "positions_of", positions_of)
    chunk = make_latents(model, 4)
    for timestep in (1000.0, 625.0):
        model.denoise(*chunk.arguments(), timestep, cache)
    assert len(placed) == 1
    cache.commit_context(4)
    model.denoise(*chunk.arguments(), 625.0, cache)
    model.denoise(*make_latents(model, 4, seed=5).arguments(), 625.0, cache)
    assert len(placed) == 3


@torch.inference_mode()
@pytest.mark.parametrize("patch", [(2, 2), (2, 1), (1, 2)])
def test_patches_keep_the_latent_grid(patch: tuple[int, int]) -> None:
    model = make_model(replace(TINY, patch_size=patch))
    cache = make_cache(model)
    model.encode_context(*make_latents(model, 4).arguments(), cache)
    assert cache.context(0)[0].shape == (2, 2, 4 * 24 // (patch[0] * patch[1]), 16)
    velocity = model.denoise(*make_latents(model, 4, seed=3).arguments(), 625.0, cache)
    assert velocity.shape == (1, 4, 4, *GRID)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("patch", "places"), [((2, 2), [[0, 1], [2, 3]]), ((2, 1), [[0, 0], [1, 1]]), ((1, 2), [[0, 1], [0, 1]])]
)
def test_patches_put_outputs_where_inputs_were(patch: tuple[int, int], places: list[list[int]]) -> None:
    model = make_model(replace(TINY, patch_size=patch))
    area = patch[0] * patch[1]
    model.final_layer.linear.weight.zero_()
    model.final_layer.linear.bias.copy_(torch.arange(4.0 * area))
    velocity = model.denoise(*make_latents(model, 1).arguments(), 625.0, make_cache(model))
    expected = [[[area * c + place for place in row] for row in places] for c in range(4)]
    assert velocity[0, :, 0, 2:4, 4:6].tolist() == expected


@torch.inference_mode()
def test_bfloat16_stays_close_to_float32() -> None:
    model = make_model()
    latents = make_latents(model, 4)
    exact = model.denoise(*latents.arguments(), 625.0, make_cache(model))
    half = make_model().to(torch.bfloat16)
    rounded = half.denoise(*make_latents(half, 4).arguments(), 625.0, make_cache(half))
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).norm() < 0.02 * exact.norm()


@torch.inference_mode()
def test_text_without_an_image_has_no_vision_tokens() -> None:
    model = make_model()
    states, mask = torch.randn(1, 3, 6), torch.tensor([[1, 1, 0]])
    glyphs, no_glyphs = torch.randn(1, 2, 7), torch.zeros(1, 2)
    assert model.encode_text(states, mask, glyphs, no_glyphs, None).length == 2
    assert model.encode_text(states, mask, glyphs, no_glyphs, torch.randn(1, 4, 5)).length == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 3}, "expected hidden to be a multiple of heads, got 32 and 3"),
        ({"rope_dims": (4, 6, 8)}, r"expected three even rope_dims of sum 16, got \(4, 6, 8\)"),
        ({"heads": 16, "rope_dims": (2, 0, 0)}, "expected a head size that is a multiple of 4, got 2"),
    ],
)
def test_configuration_refuses_shapes_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)
