"""What a CPU computes in other operations is what plain ones compute."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from worldplay.model.vae_on_cpu import (
    add_and_unfold,
    convolve,
    lay_out_for_products,
    norm_and_silu,
    unfold_patches,
)
from worldplay.model.vae_stream import TINY, _unfold_time_and_add

TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("taps", [1, 3])
@pytest.mark.parametrize("channels", [4, 64])  # fewer than the 20 or 30 positions, and more
def test_convolution_is_the_same_in_every_way(channels: int, taps: int, dtype: torch.dtype) -> None:
    conv = nn.Conv3d(8, channels, (taps, 3, 3)).to(dtype)
    conv.weight.copy_(random(channels, 8, taps, 3, 3) / 8)
    surrounded = random(1, 8, 4, 4, 7).to(dtype).contiguous(memory_format=torch.channels_last_3d)
    expected = deepcopy(conv).float()(surrounded.float())
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(convolve(conv, surrounded).float(), expected, atol=tolerance, rtol=tolerance)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_norm_of_zeros_is_zero_and_of_others_the_plain_one(dtype: torch.dtype) -> None:
    x, gamma = random(2, 16, 1, 3, 4).to(dtype), random(16, 1, 1, 1).to(dtype)
    x[0, :, 0, 0, 0] = 0
    out = torch.empty_like(x)
    norm_and_silu(x, gamma, TINY, out)
    normal = F.rms_norm(x.float().movedim(1, -1), (16,), gamma.float().view(-1), TINY).movedim(-1, 1)
    torch.testing.assert_close(out.float(), F.silu(normal), atol=TOLERANCES[dtype], rtol=TOLERANCES[dtype])
    assert not out[0, :, 0, 0, 0].any()


@torch.inference_mode()
@pytest.mark.parametrize("times", [1, 2])
def test_upsampled_sum_is_that_of_one_operation(times: int) -> None:
    x, h = random(1, 8 * times, 2, 3, 4).bfloat16(), random(1, 16 * times, 2, 3, 4).bfloat16()
    assert torch.equal(add_and_unfold(h, x, 2, times), _unfold_time_and_add(h, x, 2, times))


@torch.inference_mode()
def test_weights_laid_out_for_products_are_the_same_and_inputs_first() -> None:
    few, many = nn.Conv3d(8, 64, (3, 3, 3)), nn.Conv3d(8, 4, (1, 3, 3))  # positions, beside channels
    before = [deepcopy(conv.weight) for conv in (few, many)]
    strides = many.weight.stride()
    lay_out_for_products(nn.ModuleList([few, many]), num_positions=20)
    for conv, weight in zip((few, many), before, strict=True):
        assert torch.equal(conv.weight, weight)
    assert rearrange(few.weight, "o c i j k -> (i j k c) o").is_contiguous()
    assert many.weight.stride() == strides
    surrounded = random(1, 8, 3, 6, 7).contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(convolve(few, surrounded), few(surrounded), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("side", [1, 2, 4, 8, 3])
def test_patches_are_unfolded_in_any_layout(side: int, dtype: torch.dtype) -> None:
    x = random(2, 3 * side * side, 2, 3, 5).to(dtype)
    expected = rearrange(x, "b (c p q) t h w -> b c t (h p) (w q)", p=side, q=side)
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        assert torch.equal(unfold_patches(x.contiguous(memory_format=layout), side), expected)
