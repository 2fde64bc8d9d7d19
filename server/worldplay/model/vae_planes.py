"""Decodes to what video encoders take, BT.709: luma, and chroma at half the size.

Both are sums of red, green and blue, which a decoder's last convolution makes. So a convolution by summed
weights makes them directly: half as many numbers as all colours are.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldplay.model.bt709 import HALF_RANGE, to_chroma, to_luma
from worldplay.model.vae_layers import CausalConv
from worldplay.model.vae_on_cpu import unfold_patches


class Planes(NamedTuple):
    """Frames in levels, in full range."""

    luma: Tensor  # [1, F, H, W], 0 to 255
    chroma: Tensor  # [1, 2, F, H / 2, W / 2], blue and red, -127.5 to 127.5


class PlanesHead:
    """A decoder's last convolution, but to planes. Weights that change later are not seen."""

    def __init__(self, last: CausalConv, patch: int) -> None:
        """Args: last: makes of each position the pixels of a patch, [3, patch, patch], patch being even."""
        assert patch % 2 == 0, patch
        conv = last.conv
        assert conv.bias is not None
        sums = _sums(patch).to(conv.weight.device)
        self._patch = patch
        self.layer = CausalConv(conv.in_channels, len(sums), still=last.is_still).requires_grad_(False)
        weight = (sums @ conv.weight.detach().float().flatten(1)).view(len(sums), *conv.weight.shape[1:])
        self.layer.conv.weight.data = weight.to(conv.weight, memory_format=torch.channels_last_3d)
        bias = (sums @ conv.bias.detach().float()).to(conv.bias)
        self.layer.conv.bias = nn.Parameter(bias, requires_grad=False)

    def unfold(self, x: Tensor) -> Planes:
        """Arrange what the layer made, [1, C, F, h, w], as planes."""
        num_luma = self._patch**2
        luma = unfold_patches(x[:, :num_luma], self._patch)[:, 0]
        chroma = unfold_patches(x[:, num_luma:], self._patch // 2)
        return Planes(
            luma.float().add_(1).mul_(HALF_RANGE).clamp_(0, 2 * HALF_RANGE),
            chroma.float().mul_(HALF_RANGE).clamp_(-HALF_RANGE, HALF_RANGE),
        )


def _sums(patch: int) -> Tensor:
    """Return what makes planes of a patch, luma first, from its colours: [1.5 * patch**2, 3 * patch**2]."""
    red, green, blue = torch.eye(3 * patch**2).view(-1, 3, patch, patch).unbind(1)
    luma = to_luma(red, green, blue)
    chroma = to_chroma(luma, red, blue, dim=1)
    return torch.cat([luma.flatten(1), F.avg_pool2d(chroma, 2).flatten(1)], dim=1).T
