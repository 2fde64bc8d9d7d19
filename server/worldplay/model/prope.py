"""PRoPE: q, k, v and the output pass through camera matrices, so attention sees relative cameras."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Cameras:
    """The cameras of T latents as matrices that multiply row vectors of a head; prepared once per chunk.

    The same 4x4 matrix M acts on all d/4 groups of a head vector. As kron(I, M) this is one GEMM per latent
    instead of many tiny products. Each field is [B, T, s, s], where s is d or divides it: then the pieces of
    a vector are multiplied.
    """

    query: Tensor
    key_value: Tensor
    output: Tensor

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.query, self.key_value, self.output

    def sample(self, index: int) -> "Cameras":
        """One sample's cameras, as a batch of their own."""
        one = slice(index, index + 1)
        return Cameras(self.query[one], self.key_value[one], self.output[one])


def prepare_cameras(viewmats: Tensor, intrinsics: Tensor, side: int, dtype: torch.dtype) -> Cameras:
    """Build the matrices of every latent's camera.

    Args:
        viewmats: [B, T, 4, 4] world-to-camera, rigid; float32 or float64.
        intrinsics: [B, T, 3, 3] normalised by the image's sides; the principal point is ignored.
        side: s, a multiple of 4.
        dtype: of the matrices, hence of the products; the 4x4 algebra runs in the dtype of viewmats.
    """
    projection = _projection(viewmats, intrinsics)
    inverse = _inverse_projection(viewmats, intrinsics)
    return Cameras(
        query=_per_group(projection, side).to(dtype),
        key_value=_per_group(inverse.mT, side).to(dtype),
        output=_per_group(projection.mT, side).to(dtype),
    )


def _projection(viewmats: Tensor, intrinsics: Tensor) -> Tensor:
    return _focal(intrinsics).to(viewmats)[..., :, None] * viewmats


def _inverse_projection(viewmats: Tensor, intrinsics: Tensor) -> Tensor:
    rotation = viewmats[..., :3, :3].mT
    centre = -rotation @ viewmats[..., :3, 3:]
    upper = torch.cat([rotation, centre], dim=-1)
    rigid_inverse = torch.cat([upper, viewmats[..., 3:, :]], dim=-2)  # the last row of a pose is 0 0 0 1
    return rigid_inverse / _focal(intrinsics).to(viewmats)[..., None, :]


def _focal(intrinsics: Tensor) -> Tensor:
    """Return the diagonal (fx, fy, 1, 1) of the intrinsics as a 4x4 matrix: [B, T, 4]."""
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], dim=-1)
    return torch.cat([focal, torch.ones_like(focal)], dim=-1)


def _per_group(matrix: Tensor, side: int) -> Tensor:
    identity = torch.eye(side // 4, dtype=matrix.dtype, device=matrix.device)
    blocks = identity[:, None, :, None] * matrix[..., None, :, None, :]
    return rearrange(blocks, "... g i h j -> ... (g i) (h j)")
