"""Where image tokens are in both branches of attention: rotations (rope) and cameras (prope)."""

from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor

from worldplay.model.prope import Cameras
from worldplay.model.rope import Rotation, swap_pairs


@dataclass(frozen=True, slots=True)
class NormedPositions:
    """Positions for one block's normalised keys and queries, the weights of its norms multiplied in.

    A stack of several blocks' begins with [K, ...].
    """

    products: Tensor  # [2, B*T, d, 2d], to pairs swapped for the rotation, and to the prope branch
    direct: Tensor  # [2, 1, T, S, 1, d] float32, cosines

    def of_block(self, index: int) -> "NormedPositions":
        return NormedPositions(self.products[index], self.direct[index])


@dataclass(frozen=True, slots=True)
class TokenPositions:
    """Where image tokens are: rotations for the rope branch, and products with cameras for the prope branch.

    A head's two branches lie beside each other, [rope, prope]; what passes only one has an identity. `s` is
    the side of the cameras.
    """

    rotation: Rotation
    key_query: Tensor  # [2, B*T, s, 2s], of keys and of queries: [pairs swapped | camera]
    value: Tensor  # [B*T, s, 2s]: [identity | camera]
    output: Tensor  # [B*T, 2s, 2s]: identity and camera on the diagonal

    @property
    def num_latents(self) -> int:
        return self.rotation.cos.shape[0]

    @property
    def tokens_per_latent(self) -> int:
        return self.rotation.cos.shape[1]

    def with_norms(self, norms: Tensor) -> NormedPositions | None:
        """Multiply in the weights of blocks' norms of keys and queries, [..., 2, d].

        Returns: None on a CPU, which computes both branches in other ways.
        """
        if prefers_copies(norms):
            return None
        weights = norms[..., :, None, :, None]
        direct = norms.float()[..., :, None, None, None, None, :] * self.rotation.cos
        return NormedPositions(weights * self.key_query, direct)

    def first(self, num_latents: int) -> "TokenPositions":
        """Return the positions of the first latents, of one sample."""
        return TokenPositions(
            Rotation(*(part[:num_latents] for part in self.rotation)),
            self.key_query[:, :num_latents],
            self.value[:num_latents],
            self.output[:num_latents],
        )

    def followed_by(self, other: "TokenPositions") -> "TokenPositions":
        """Return these positions, and then those of later latents, of one sample."""
        return TokenPositions(
            Rotation(*(torch.cat(parts) for parts in zip(self.rotation, other.rotation, strict=True))),
            torch.cat([self.key_query, other.key_query], dim=1),
            torch.cat([self.value, other.value]),
            torch.cat([self.output, other.output]),
        )


def prepare_positions(rotation: Rotation, cameras: Cameras) -> TokenPositions:
    """Prepare the positions of a pass's tokens."""
    query, key_value, output = (matrices.flatten(0, 1) for matrices in cameras.parts())
    identity = torch.eye(query.shape[-1], dtype=query.dtype, device=query.device).expand_as(query)
    nothing = torch.zeros_like(query)
    swap = swap_pairs(identity)
    return TokenPositions(
        rotation,
        key_query=torch.cat([torch.stack([swap, swap]), torch.stack([key_value, query])], dim=-1),
        value=torch.cat([identity, key_value], dim=-1),
        output=torch.cat([torch.cat([identity, nothing], -1), torch.cat([nothing, output], -1)], dim=-2),
    )


def camera_side(head_dim: int, poses: Tensor) -> int:
    """Return the side of the cameras of poses: a CPU multiplies heads in pieces, which is less work."""
    return gcd(16, head_dim) if prefers_copies(poses) else head_dim


def prefers_copies(tensor: Tensor) -> bool:
    """Return whether copies and small products are faster than large products: on a CPU."""
    return tensor.device.type == "cpu"
