"""The released variants: their numbers, and which of them can be walked."""

import pytest
import torch

from worldplay.model.config import RELEASED_TRANSFORMER
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.released.variants import VARIANTS, find_variant


def test_default_samples_four_steps_without_guidance() -> None:
    variant = find_variant("ar-distilled")
    config = variant.rollout()
    assert (config.steps, config.guidance, config.shift, config.chunk_latents) == (4, 1.0, 5.0, 4)
    assert (config.memory_latents, config.recent_latents, config.context_timestep) == (20, 12, 14.0)
    assert variant.num_branches == 1


@pytest.mark.parametrize(
    ("name", "steps", "chunk"), [("ar", 50, 4), ("ar-rl", 50, 4), ("bidirectional", 30, 16)]
)
def test_the_others_are_guided(name: str, steps: int, chunk: int) -> None:
    config = find_variant(name).rollout()
    assert (config.steps, config.guidance, config.chunk_latents) == (steps, 6.0, chunk)
    assert find_variant(name).num_branches == 2


def test_parameters_of_the_released_transformer() -> None:
    with torch.device("meta"):
        model = WorldPlayTransformer(RELEASED_TRANSFORMER)
    assert round(sum(p.numel() for p in model.parameters()) / 1e9, 3) == 8.558
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["img_in.proj.weight"] == (2048, 65, 1, 1, 1)
    assert shapes["double_blocks.53.img_attn_prope_proj.weight"] == (2048, 2048)
    assert shapes["vision_in.proj.3.weight"] == (2048, 1152)


def test_unknown_variant() -> None:
    with pytest.raises(
        ValueError, match="unknown variant 'large'; expected one of ar-distilled, ar, ar-rl, bidirectional"
    ):
        find_variant("large")


def test_only_the_bidirectional_variant_cannot_be_walked() -> None:
    for variant in VARIANTS.values():
        if variant.name != "bidirectional":
            assert variant.is_live
    assert not VARIANTS["bidirectional"].is_live
