"""The positions and cameras of image tokens, and their keys and values in both branches."""

from dataclasses import dataclass

import torch
from torch import Tensor

from worldplay.model.prope import Cameras, transform
from worldplay.model.rope import rotate

# (rope branch, prope branch)
Branches = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Placement:
    """The positions of image tokens: their rotations, [T, S, d/2], and their latents' cameras."""

    rope: Tensor
    cameras: Cameras

    def first(self, num_latents: int) -> "Placement":
        return Placement(self.rope[:num_latents], self.cameras.first(num_latents))

    def followed_by(self, other: "Placement") -> "Placement":
        return Placement(torch.cat([self.rope, other.rope]), self.cameras.followed_by(other.cameras))


@dataclass(frozen=True, slots=True)
class ImageKV:
    """Image tokens' keys and values before they are transformed for the branches, each [B, T, S, n, d]."""

    keys: Tensor
    values: Tensor
    place: Placement

    def branches(self) -> tuple[Branches, Branches]:
        """Transform keys and values for both branches, each [B, n, T*S, d]."""
        matrices = self.place.cameras.key_value
        keys = heads_first(rotate(self.keys, self.place.rope)), heads_first(transform(self.keys, matrices))
        return keys, (heads_first(self.values), heads_first(transform(self.values, matrices)))


def heads_first(x: Tensor) -> Tensor:
    """Bring heads to the front: [B, T, S, n, d] -> [B, n, T*S, d], without a copy."""
    return x.flatten(1, 2).transpose(1, 2)
