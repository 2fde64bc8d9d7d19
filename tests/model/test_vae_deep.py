"""A decoder as deep as the released one: its error in float16, as on a GPU."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldplay.model.config import RELEASED_VAE
from worldplay.model.vae import StreamingVAE

DEEP = replace(
    RELEASED_VAE,
    encoder_channels=(8, 8, 8, 8, 8),
    encoder_layers=1,
    decoder_channels=(32, 32, 16, 16, 8),
)
LARGE = 3000.0  # activations of the first convolution


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions that add up in float32, and round only their results."""

    def convolve(self: nn.Conv3d, x: Tensor) -> Tensor:
        assert self.bias is not None
        product = F.conv3d(x.float(), self.weight.float(), self.bias.float(), padding=self.padding)
        return product.to(x.dtype)

    monkeypatch.setattr(nn.Conv3d, "forward", convolve)


def make_deep() -> StreamingVAE:
    """A decoder as deep as the released one, with weights that float16 and bf16 hold alike."""
    torch.manual_seed(0)
    vae = StreamingVAE(DEEP).requires_grad_(False).eval()
    for parameter in vae.decoder.parameters():
        if parameter.dim() == 5:
            parameter.normal_().mul_(parameter[0].numel() ** -0.5)
    vae.decoder.conv_in.conv.weight.mul_(LARGE)
    return vae.bfloat16().float()


def decode(vae: StreamingVAE, dtype: torch.dtype) -> Tensor:
    vae = deepcopy(vae).to(dtype)
    random, state = torch.Generator().manual_seed(1), vae.new_decoder_state()
    latents = torch.randn(3, 1, DEEP.latent_channels, 1, 2, 3, generator=random)
    return torch.cat([vae.decode_raw(latent, state).float() for latent in latents], dim=2)


def rms(x: Tensor) -> float:
    return x.pow(2).mean().sqrt().item()


@torch.inference_mode()
def test_error_in_float16_is_a_thousandth(as_on_a_gpu: None) -> None:
    vae = make_deep()
    exact, half, brain = (decode(vae, dtype) for dtype in (torch.float32, torch.float16, torch.bfloat16))
    error = rms(half - exact) / rms(exact)
    assert error < 1e-3
    assert 6 * error < rms(brain - exact) / rms(exact)


@torch.inference_mode()
def test_squares_of_large_activations_do_not_overflow(as_on_a_gpu: None) -> None:
    vae = make_deep().half()
    x = vae.decoder.conv_in.conv(torch.randn(1, DEEP.latent_channels, 3, 4, 4).half())
    assert x.isfinite().all()
    assert (x * x).isinf().any()
    assert decode(make_deep(), torch.float16).isfinite().all()
