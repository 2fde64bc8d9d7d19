"""A tiny decoder of HunyuanVideo 1.5's latents, for display: 2-D convolutions that see one frame back.

The layers and their names are those of `taehv1_5` in https://github.com/madebyollin/taehv (MIT licence),
which publishes the weights. It takes latents as the transformer makes them, without a scaling factor.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from worldplay.model.config import FRAMES_PER_LATENT
from worldplay.model.vae_stream import FeatureCache

LATENT_CHANNELS = 32
REACH = 9  # past latents that the next frames can depend on: one for each memory block
_WIDTHS = (256, 128, 64, 64)
_PIXEL_PATCH = 2
_MOST = 3.0  # latents are squeezed into -3 to 3


class TinyDecoder(nn.Module):
    """Decodes latents piece by piece; the state holds the newest input of every memory block."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, last = _WIDTHS
        self.decoder = nn.Sequential(
            *(_Squeeze(), _convolution(LATENT_CHANNELS, first), nn.ReLU()),
            *_level(first, second, frames=1),
            *_level(second, third, frames=2),
            *_level(third, last, frames=2),
            *(nn.ReLU(), _convolution(last, 3 * _PIXEL_PATCH**2)),
        )

    def decode(self, latents: Tensor, state: FeatureCache) -> Tensor:
        """Decode the next latents of a stream.

        Args:
            latents: [1, C, T, h, w].
            state: updated in place.
        Returns: [1, 3, F, H, W] in [-1, 1]; a stream's first latent gives 1 frame, every other 4.
        """
        assert latents.shape[0] == 1, latents.shape
        x = latents[0].transpose(0, 1).to(next(self.parameters()))
        past, newest = iter(state.slots), list[Tensor]()
        for layer in self.decoder:
            if isinstance(layer, _MemoryBlock):
                newest.append(x[-1:].clone())
                x = layer(x, torch.zeros_like(x[:1]) if state.is_empty else next(past))
            else:
                x = layer(x)
        if state.is_empty:
            x = x[FRAMES_PER_LATENT - 1 :]
        state.slots = newest
        pixels = F.pixel_shuffle(x, _PIXEL_PATCH).clamp(0, 1)
        return rearrange(2 * pixels - 1, "f c h w -> 1 c f h w")


class _Squeeze(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / _MOST) * _MOST


class _MemoryBlock(nn.Module):
    """A residual block that sees every frame and the one before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(_convolution(2 * width, width), nn.ReLU(), _convolution(width, width), nn.ReLU()),
            _convolution(width, width),
        )

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """Take frames, [F, C, H, W], through the block; `before`, [1, C, H, W], comes before the first."""
        past = torch.cat([before, x[:-1]])
        return F.relu(self.conv(torch.cat([x, past], dim=1)) + x)


class _Grow(nn.Module):
    """Makes one or more frames of each."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.conv = nn.Conv2d(width, width * frames, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return rearrange(self.conv(x), "f (n c) h w -> (f n) c h w", n=self.frames)


def _level(width: int, next_width: int, frames: int) -> list[nn.Module]:
    """Make three memory blocks, and what doubles the picture's sides and perhaps the frames."""
    blocks: list[nn.Module] = [_MemoryBlock(width) for _ in range(3)]
    grow = [nn.Upsample(scale_factor=2), _Grow(width, frames)]
    return [*blocks, *grow, nn.Conv2d(width, next_width, 3, padding=1, bias=False)]


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
