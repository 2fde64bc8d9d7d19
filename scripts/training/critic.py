"""A patch discriminator: tells decoded frames from true ones, so that the decoder learns not to blur."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128)  # of its levels; each halves the sides
FRAMES = 4  # of a piece that it looks at, drawn at random
_SLOPE = 0.2


class Critic(nn.Module):
    """Scores every patch of a frame by itself: high for what looks true."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *WIDTHS)
        self.levels = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1) for inputs, outputs in pairwise(widths)
        )
        self.head = nn.Conv2d(WIDTHS[-1], 1, 3, padding=1)

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Score frames [n, 3, H, W] in [-1, 1]. Returns: scores [n, 1, h, w], each level's features."""
        features = []
        x = frames.to(self.head.weight)
        for level in self.levels:
            x = F.leaky_relu(level(x), _SLOPE)
            features.append(x)
        return self.head(x).float(), features


def draw_frames(decoded: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the same few frames of clips [B, 3, F, H, W]: [B * FRAMES, 3, H, W] of each."""
    chosen = torch.randperm(pixels.shape[2])[:FRAMES].to(pixels.device)
    return decoded[:, :, chosen].transpose(1, 2).flatten(0, 1), pixels[:, :, chosen].transpose(1, 2).flatten(
        0, 1
    )


def critic_loss(critic: Critic, decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the critic's hinge loss on frames [n, 3, H, W]; the decoder gets no gradient."""
    made, true = critic(decoded.detach())[0], critic(pixels)[0]
    return F.relu(1 + made).mean() + F.relu(1 - true).mean()


def decoder_loss(critic: Critic, decoded: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the decoder pays for being told apart, and for features unlike the true frames'."""
    score, features = critic(decoded)
    with torch.no_grad():
        wanted = critic(pixels)[1]
    differences = [F.l1_loss(ours, theirs) for ours, theirs in zip(features, wanted, strict=True)]
    return -score.mean(), torch.stack(differences).sum().float()
