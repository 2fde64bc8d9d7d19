"""What a CPU computes by copies is what a GPU computes by products, and what trains is what is served."""

import pytest
import torch
from torch import Tensor

from support.tiny import TINY, enter, make_latents, make_model
from worldplay.model import tokens
from worldplay.model.tokens import (
    KEY,
    VALUE,
    Heads,
    Placement,
    apply_camera,
    rotate,
    see_by_camera,
    turn_keys,
)

RANDOM = torch.Generator().manual_seed(0)


def make_place() -> tuple[Placement, Tensor]:
    model = make_model()
    latents = make_latents(model, 3)
    norms = torch.rand(2, TINY.head_dim, generator=RANDOM) + 0.5
    return model.place(latents.cameras, latents.latents.shape[2:], 2), norms


def make_heads(width: int) -> Tensor:
    return torch.randn(3, 24 * TINY.heads, width, generator=RANDOM)


@torch.no_grad()
def test_turned_heads_are_the_products_that_a_gpu_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    place, norms = make_place()
    raw = make_heads(3 * TINY.head_dim).unflatten(-1, (3, -1))

    def turned_heads() -> tuple[Tensor, Tensor, Tensor]:
        return Heads(raw, raw, norms, TINY.heads, place, place.turns(norms), rotate).branches()

    turned, keys = turned_heads(), turn_keys(raw[:, :, KEY], raw[:, :, VALUE], norms, place)
    monkeypatch.setattr(tokens, "is_on_cpu", lambda tensor: False)
    torch.testing.assert_close(turned, turned_heads())
    torch.testing.assert_close(keys, turn_keys(raw[:, :, KEY], raw[:, :, VALUE], norms, place))


@torch.no_grad()
def test_cameras_are_the_products_that_a_gpu_computes() -> None:
    place, _ = make_place()
    heads, attended = make_heads(TINY.head_dim), make_heads(2 * TINY.head_dim)
    torch.testing.assert_close(apply_camera(heads, place.value), torch.bmm(heads, place.value))
    torch.testing.assert_close(see_by_camera(attended, place.output), torch.bmm(attended, place.output))


@pytest.mark.parametrize("batch", [1, 2])
def test_branches_have_the_same_values_with_gradients(batch: int) -> None:
    model = make_model()
    latents = make_latents(model, 3, batch=batch)
    x, mods = enter(model, latents)
    place = model.place(latents.cameras, latents.latents.shape[2:], 0)
    block = model.blocks[0]

    def branches() -> tuple[Tensor, Tensor, Tensor]:
        weights = block.projections()
        heads = block.image_heads(x, mods.blocks[0], weights, place, place.turns(weights.norms))
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
