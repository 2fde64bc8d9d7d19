"""Where image tokens are in time, picture and world, and what becomes of their keys and values there."""

from dataclasses import dataclass

from torch import Tensor

from worldplay.model.prope import Cameras, transform
from worldplay.model.rope import rotate

# (rope branch, prope branch)
Branches = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where image tokens are: their rotations, [T, S, d/2], and their latents' cameras."""

    rope: Tensor
    cameras: Cameras


@dataclass(frozen=True, slots=True)
class ImageKV:
    """Image tokens' keys and values before the two branches part, each [B, T, S, n, d]."""

    keys: Tensor
    values: Tensor
    place: Placement

    def branches(self) -> tuple[Branches, Branches]:
        """Both branches' keys and values, each [B, n, T*S, d]."""
        matrices = self.place.cameras.key_value
        keys = heads_first(rotate(self.keys, self.place.rope)), heads_first(transform(self.keys, matrices))
        return keys, (heads_first(self.values), heads_first(transform(self.values, matrices)))


def heads_first(x: Tensor) -> Tensor:
    """[B, T, S, n, d] -> [B, n, T*S, d], without a copy."""
    return x.flatten(1, 2).transpose(1, 2)
