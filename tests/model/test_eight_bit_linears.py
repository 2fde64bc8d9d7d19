"""Linear layers in 8 bits: their numbers, their error, and which layers of a model they are."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from support.tiny import TINY, make_cache, make_latents, make_model
from worldplay.model.eight_bit_linears import FP8, RoundedMLP, linear, round_rows, round_weight
from worldplay.model.packing import RoundedProjections
from worldplay.model.regions import compile_regions
from worldplay.model.transformer import WorldPlayTransformer


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_rounded(blocks: int = 4) -> tuple[WorldPlayTransformer, WorldPlayTransformer]:
    plain = make_model(replace(TINY, blocks=blocks)).requires_grad_(False)
    plain.pack()
    rounded = deepcopy(plain)
    rounded.round_weights()
    return plain, rounded


def test_every_row_uses_the_whole_range() -> None:
    values, scales = round_rows(torch.tensor([[1.0, -2.0], [0.0, 0.0], [2.0, 448.0]]))
    assert values.dtype == FP8
    assert values.float().tolist() == [[224.0, -448.0], [0.0, 0.0], [2.0, 448.0]]
    assert scales.flatten()[[0, 2]].tolist() == pytest.approx([2 / 448, 1.0])


def test_rows_are_rounded_apart() -> None:
    """A large row costs the others nothing; one scale for all would round them to zero."""
    x, weight, bias = draw(2, 64), draw(8, 64, seed=1), torch.zeros(8)
    loud = x.clone()
    loud[1] *= 1e6
    assert torch.equal(linear(x, round_weight(weight), bias)[0], linear(loud, round_weight(weight), bias)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_error_is_that_of_the_hardware(dtype: torch.dtype) -> None:
    """An H200 has 3.75 % with random numbers (docs/performance.md)."""
    x, weight, bias = (part.to(dtype) for part in (draw(4, 16, 256), draw(128, 256, seed=1), draw(128)))
    got, expected = linear(x, round_weight(weight), bias), F.linear(x, weight, bias)
    assert (got.dtype, got.shape) == (dtype, expected.shape)
    error = ((got - expected).float().norm() / (expected - bias).float().norm()).item()
    assert error == pytest.approx(0.0375, abs=0.001)


def test_plain_weight_gives_the_plain_layer() -> None:
    x, weight, bias = draw(4, 16), draw(8, 16, seed=1), draw(8)
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))


def test_first_and_last_block_are_not_rounded() -> None:
    _, rounded = make_rounded()
    assert [isinstance(block.packed, RoundedProjections) for block in rounded.blocks] == [0, 1, 1, 0]
    assert [isinstance(block.img_mlp, RoundedMLP) for block in rounded.blocks] == [0, 1, 1, 0]
    assert not any("img" in name for name, _ in rounded.blocks[1].named_parameters())


@torch.inference_mode()
def test_rounded_model_stays_near_the_plain_one() -> None:
    velocities = []
    for model in make_rounded():
        cache = make_cache(model)
        model.encode_context(*make_latents(model, 4).arguments(), cache)
        velocities.append(model.denoise(*make_latents(model, 4, seed=3).arguments(), 625.0, cache))
    error = (velocities[1] - velocities[0]).norm() / velocities[0].norm()
    assert 1e-4 < error < 0.05


@torch.inference_mode()
@pytest.mark.slow
def test_rounding_is_compiled_with_what_is_before_it() -> None:
    """Blocks share graphs: a pair for plain and a pair for rounded ones, in two passes."""
    torch.compiler.reset()
    counter, velocities = CompileCounterWithBackend("eager"), []
    _, model = make_rounded(blocks=6)
    for regions in (None, compile_regions(counter)):
        if regions is not None:
            model.use_regions(regions)
        cache = make_cache(model)
        model.encode_context(*make_latents(model, 4).arguments(), cache)
        velocities.append(model.denoise(*make_latents(model, 4, seed=3).arguments(), 625.0, cache))
    torch.testing.assert_close(*velocities)
    assert counter.frame_count <= 8
