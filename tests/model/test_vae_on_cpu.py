"""What a CPU computes in other operations is what plain ones compute."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from support.tiny_world import VAE
from worldplay.model.vae_layers import Decoder
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
    decoder = Decoder(VAE)
    before = deepcopy(decoder.state_dict())
    lay_out_for_products(decoder, num_positions=2)
    after = decoder.state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in after.items())
    for part in ("conv_in", "mid_block.resnets.1.conv2", "up_blocks.0.resnets.0.conv1"):
        assert rearrange(after[f"{part}.conv.weight"], "o c i j k -> (i j k c) o").is_contiguous(), part
    assert after["up_blocks.1.resnets.0.conv1.conv.weight"].is_contiguous()  # as it was
    surrounded = random(1, VAE.latent_channels, 3, 3, 4).contiguous(memory_format=torch.channels_last_3d)
    conv = decoder.conv_in.conv
    torch.testing.assert_close(convolve(conv, surrounded), conv(surrounded), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("side", [1, 2, 4, 8, 3])
def test_patches_are_unfolded_in_any_layout(side: int, dtype: torch.dtype) -> None:
    x = random(2, 3 * side * side, 2, 3, 5).to(dtype)
    expected = rearrange(x, "b (c p q) t h w -> b c t (h p) (w q)", p=side, q=side)
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        assert torch.equal(unfold_patches(x.contiguous(memory_format=layout), side), expected)
    shifted = torch.cat([x.new_zeros(1), x.permute(0, 2, 3, 4, 1).flatten()])[1:]
    shifted = shifted.view(2, 2, 3, 5, -1).movedim(-1, 1)
    assert torch.equal(unfold_patches(shifted, side), expected)
    point = x[:1, :, :1, :1, :1]
    assert torch.equal(unfold_patches(point, side), expected[:1, :, :1, :side, :side])
