"""Finer patches begin as what coarser ones were, where a latent is the same all over a token."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from training.patches import split_patches
from training.transformer_init import EMBEDDED_TRANSFORMER, build_model

TINY = replace(
    EMBEDDED_TRANSFORMER, hidden=32, heads=2, rope_dims=(4, 6, 6), blocks=1, latent_channels=4, vision_dim=4
)


def pass_through(patch: tuple[int, int], weights: dict[str, Tensor], latents: Tensor) -> Tensor:
    """From a latent through the first layer and the last one to a velocity, without a block."""
    model = build_model(replace(TINY, patch_size=patch))
    model.load_state_dict(weights)
    x, vec = model._enter(latents, torch.zeros(1, 5, 1, 4, 4), torch.tensor([0]), 500.0)
    return model._leave(x, vec, latents)


@torch.inference_mode()
def test_a_latent_that_is_the_same_all_over_a_token_keeps_its_velocity() -> None:
    coarse = build_model(replace(TINY, patch_size=(2, 2))).state_dict()
    coarse["final_layer.linear.bias"] = torch.randn(16, generator=torch.Generator().manual_seed(1))
    columns = torch.randn(1, 4, 1, 4, 2, generator=torch.Generator().manual_seed(0))
    columns = columns.repeat_interleave(2, dim=-1)
    before = pass_through((2, 2), coarse, columns).unflatten(-1, (2, 2)).mean(dim=-1)
    after = pass_through((2, 1), split_patches(coarse, (2, 1)), columns)
    torch.testing.assert_close(after, before.repeat_interleave(2, dim=-1))


def test_noise_comes_out_as_it_went_in() -> None:
    noise = torch.randn(1, 4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    coarse = build_model(replace(TINY, patch_size=(2, 2))).state_dict()
    with torch.inference_mode():
        out = pass_through((2, 1), split_patches(coarse, (2, 1)), noise)
    assert torch.corrcoef(torch.stack([out.flatten(), noise.flatten()]))[0, 1] > 0.9


def test_the_same_patches_stay_as_they_are() -> None:
    weights = build_model(replace(TINY, patch_size=(2, 1))).state_dict()
    for name, weight in split_patches(weights, (2, 1)).items():
        assert torch.equal(weight, weights[name])


def test_patches_cannot_grow() -> None:
    weights = build_model(replace(TINY, patch_size=(2, 1))).state_dict()
    with pytest.raises(ValueError, match=r"in multiples of \(2, 2\), got \(2, 1\)"):
        split_patches(weights, (2, 2))
