"""A patch discriminator: tells decoded frames from true ones, so that the decoder learns not to blur."""

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.masters import Masters, Recipe
from worldplay.world.device import choose_dtype

WIDTHS = (32, 64, 128)  # of its levels; each halves the sides
FRAMES = 4  # of a piece that it looks at, drawn at random
_SLOPE = 0.2
TOLD_APART_WEIGHT, FEATURE_WEIGHT = 0.02, 0.05
RECIPE = Recipe(
    lambda *_: False, 0.0, 4e-4, betas=(0.5, 0.95), weight_decay=0.0, clip=math.inf, average_decay=0.995
)


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


class Sharpening:
    """A critic in training, and what it makes the decoder pay."""

    def __init__(self, device: torch.device) -> None:
        self._critic = Critic().to(device, choose_dtype(device))
        self._masters = Masters(self._critic, RECIPE)
        self._seen: tuple[Tensor, Tensor] | None = None

    def charge(self, decoded: Tensor, pixels: Tensor) -> Tensor:
        """Return the decoder's loss for clips [B, 3, F, H, W], of which a few frames are looked at."""
        self._seen = draw_frames(decoded, pixels)
        self._critic.requires_grad_(False)
        told_apart, features = decoder_loss(self._critic, *self._seen)
        self._critic.requires_grad_(True)
        return TOLD_APART_WEIGHT * told_apart + FEATURE_WEIGHT * features

    def learn(self, step: int) -> None:
        """Train the critic on the frames that were charged for last, if any."""
        if self._seen is not None:
            torch.autograd.backward(critic_loss(self._critic, *self._seen))
            self._masters.collect(0.0)
            self._masters.update(step, 1.0)
            self._seen = None

    def state(self) -> dict[str, Any]:
        return self._masters.state()

    def load(self, state: dict[str, Any]) -> None:
        self._masters.load(state)
