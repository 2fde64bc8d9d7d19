"""What a CPU computes by copies is what a GPU computes by products, and what trains is what is served."""

import pytest
import torch
from torch import Tensor

from support.tiny import TINY, enter, make_latents, make_model
from worldplay.model import heads as heads_module
from worldplay.model import token_positions
from worldplay.model.heads import KEY, VALUE, Heads, apply_camera, position_keys, rotate, see_by_camera
from worldplay.model.token_positions import TokenPositions

RANDOM = torch.Generator().manual_seed(0)


def make_positions() -> tuple[TokenPositions, Tensor]:
    model = make_model()
    latents = make_latents(model, 3)
    norms = torch.rand(2, TINY.head_dim, generator=RANDOM) + 0.5
    return model.positions_of(latents.cameras, latents.latents.shape[2:], 2), norms


def make_heads(width: int) -> Tensor:
    return torch.randn(3, 24 * TINY.heads, width, generator=RANDOM)


@torch.no_grad()
def test_positioned_heads_are_the_products_that_a_gpu_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    positions, norms = make_positions()
    raw = make_heads(3 * TINY.head_dim).unflatten(-1, (3, -1))

    def positioned_heads() -> tuple[Tensor, Tensor, Tensor]:
        return Heads(raw, raw, norms, TINY.heads, positions, positions.with_norms(norms), rotate).branches()

    positioned, keys = positioned_heads(), position_keys(raw[:, :, KEY], raw[:, :, VALUE], norms, positions)
    for module in (heads_module, token_positions):
        monkeypatch.setattr(module, "prefers_copies", lambda tensor: False)
    torch.testing.assert_close(positioned, positioned_heads())
    torch.testing.assert_close(keys, position_keys(raw[:, :, KEY], raw[:, :, VALUE], norms, positions))


@torch.no_grad()
def test_cameras_are_the_products_that_a_gpu_computes() -> None:
    positions, _ = make_positions()
    heads, attended = make_heads(TINY.head_dim), make_heads(2 * TINY.head_dim)
    torch.testing.assert_close(apply_camera(heads, positions.value), torch.bmm(heads, positions.value))
    torch.testing.assert_close(
        see_by_camera(attended, positions.output), torch.bmm(attended, positions.output)
    )


@pytest.mark.parametrize("batch", [1, 2])
def test_branches_have_the_same_values_with_gradients(batch: int) -> None:
    model = make_model()
    latents = make_latents(model, 3, batch=batch)
    x, mods = enter(model, latents)
    positions = model.positions_of(latents.cameras, latents.latents.shape[2:], 0)
    block = model.blocks[0]

    def branches() -> tuple[Tensor, Tensor, Tensor]:
        weights = block.projections()
        heads = block.image_heads(x, mods.blocks[0], weights, positions, positions.with_norms(weights.norms))
        assert isinstance(heads, Heads)
        return heads.branches()

    trained = branches()
    with torch.no_grad():
        served = branches()
    torch.testing.assert_close(trained, served)
    torch.autograd.backward([part.square().sum() for part in trained])
    for layer in (
        block.img_attn_q,
        block.img_attn_k,
        block.img_attn_v,
        block.img_attn_q_norm,
        block.img_attn_k_norm,
    ):
        assert layer.weight.grad is not None
        assert layer.weight.grad.abs().sum() > 0
