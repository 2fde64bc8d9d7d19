"""Applies positions to the image tokens' queries, keys and values, for both branches of attention."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worldplay.model.rope import Rotation
from worldplay.model.token_positions import NormedPositions, TokenPositions, prefers_copies

KEY, QUERY, VALUE = range(3)  # of each head, in the product that computes all three


@dataclass(frozen=True, slots=True)
class Heads:
    """Image tokens' keys, queries and values before positions are applied, [B*T, S*n, 3, d].

    `normal` divides them by their root mean square; only keys and queries of it are read.
    """

    raw: Tensor
    normal: Tensor
    norms: Tensor  # [2, d], weights of the block's norms of keys and queries
    num_heads: int
    positions: TokenPositions
    normed: NormedPositions | None  # as from TokenPositions.with_norms
    rotate: Callable[[Tensor, Tensor, Tensor, Tensor], None]  # the function below, or a compiled one

    @property
    def num_tokens(self) -> int:
        """Return the tokens of a sample."""
        return self.positions.num_latents * self.raw.shape[1] // self.num_heads

    def branches(self) -> tuple[Tensor, Tensor, Tensor]:
        """Apply positions to queries, keys and values: [B, 2n, T*S, d] each, a head's branches together."""
        if torch.is_grad_enabled():
            keys_queries, values = self._position_for_gradients()
        else:
            shape = (self.raw.shape[0] * self.raw.shape[1] // self.num_heads, self.num_heads, 2, self._width)
            keys_queries, values = self.raw.new_empty(2, *shape), self.raw.new_empty(shape)
            self.write(keys_queries, values)
        keys, queries = (_heads_first(part) for part in self._split(keys_queries))
        (split_values,) = self._split(values[None])
        return queries, keys, _heads_first(split_values)

    def _position_for_gradients(self) -> tuple[Tensor, Tensor]:
        """Do what `write` does, but to new tensors, [2, ...] and [...], and fast backwards on a CPU."""
        weighted = self._keys_queries() * self.norms[:, None, None, None, None]
        cameras = _camera(self.positions.key_query).flatten(0, 1)
        prope = _see(weighted.reshape(len(cameras), -1, self._width), cameras).view(weighted.shape)
        positioned = torch.stack([self.positions.rotation.apply(weighted), prope], dim=-2)
        return positioned, apply_camera(self.raw[:, :, VALUE], self.positions.value)

    def write(self, keys_queries: Tensor, values: Tensor) -> None:
        """Apply positions, and write the result where attention reads it, without gradients.

        Args: keys_queries: [2, B*T*S, n, 2, d]; values: [B*T*S, n, 2, d].
        """
        if prefers_copies(self.raw):
            self.write_apart(keys_queries[KEY], keys_queries[QUERY], values)
            return
        assert self.normed is not None, "heads on a GPU have no normed positions"
        rows = *self.raw.shape[:2], 2 * self._width
        apply_camera(self.raw[:, :, VALUE], self.positions.value, out=values.view(rows))
        for part in (KEY, QUERY):
            multiply_key_query(
                self.normal[:, :, part], self.normed.products[part], keys_queries[part].view(rows)
            )
        sin, direct = self.positions.rotation.sin, self.normed.direct
        self.rotate(self._split(keys_queries)[..., 0, :], self._keys_queries(), sin, direct)

    def write_apart(self, keys: Tensor, queries: Tensor, values: Tensor) -> None:
        """Do what `write` does as a CPU does it fastest, to views, [B*T*S, n, 2, d] each, of any strides."""
        shape = (*keys.shape[:2], 2, self._width)
        weighted = self.normal[:, :, :VALUE] * self.norms.float()
        rope = _rotate_pairs(weighted, self.positions.rotation).view(shape)
        parts = self.raw.new_empty(3, *self.raw[:, :, 0].shape)  # as in raw, but kind by kind
        parts[:VALUE].copy_(weighted.movedim(2, 0))
        parts[VALUE].copy_(self.raw[:, :, VALUE])
        cameras = torch.cat([_camera(each) for each in (*self.positions.key_query, self.positions.value)])
        prope = _see(parts.flatten(0, 1), cameras).view(3, *shape[:2], self._width)
        for part, out in ((KEY, keys), (QUERY, queries)):
            out[:, :, 0].copy_(rope[:, :, part])
            out[:, :, 1].copy_(prope[part])
        values[:, :, 0].copy_(parts[VALUE].view(values[:, :, 0].shape))
        values[:, :, 1].copy_(prope[VALUE])

    def _keys_queries(self) -> Tensor:
        """View normalised keys and queries as [2, B, T, S, n, d]."""
        shape = (-1, self.positions.num_latents, self.raw.shape[1] // self.num_heads, self.num_heads)
        return self.normal.unflatten(1, shape[2:]).unflatten(0, shape[:2])[..., :VALUE, :].movedim(-2, 0)

    def _split(self, positioned: Tensor) -> Tensor:
        """View positioned heads of one or two kinds as [kinds, B, T, S, n, 2, d]."""
        num_tokens = self.raw.shape[1] // self.num_heads
        return positioned.view(
            len(positioned), -1, self.positions.num_latents, num_tokens, self.num_heads, 2, self._width
        )

    @property
    def _width(self) -> int:
        return self.raw.shape[-1]


def position_keys(
    keys: Tensor, values: Tensor, norms: Tensor, positions: TokenPositions
) -> tuple[Tensor, Tensor]:
    """Apply positions to normalised keys and raw values, [T, S*n, d], as `Heads.write`: [T, S*n, 2d] each.

    Args: norms: as in Heads.
    """
    if prefers_copies(keys):
        weighted = keys * norms[KEY].float()
        rope = _rotate_pairs(weighted[:, :, None], positions.rotation)[:, :, 0].to(keys.dtype)
        positioned = torch.cat(
            [rope, _see(weighted.to(keys.dtype), _camera(positions.key_query[KEY]))], dim=-1
        )
        return positioned, apply_camera(values, positions.value)
    normed, num_tokens = positions.with_norms(norms), positions.rotation.cos.shape[1]
    assert normed is not None, "keys on a GPU have no normed positions"
    positioned = multiply_key_query(keys, normed.products[KEY])
    swapped, normal = (
        part.unflatten(1, (num_tokens, -1)) for part in (positioned[..., : keys.shape[-1]], keys)
    )
    rotate(swapped, normal, positions.rotation.sin, normed.direct[KEY, 0])
    return positioned, apply_camera(values, positions.value)


def multiply_key_query(normal: Tensor, products: Tensor, out: Tensor | None = None) -> Tensor:
    """Put swapped pairs and the prope branch of heads side by side: [B*T, S*n, d] to [B*T, S*n, 2d].

    Args: products: a row of NormedPositions.products.
    """
    return torch.bmm(normal, products, out=out)


def _rotate_pairs(weighted: Tensor, rotation: Rotation) -> Tensor:
    """Rotate heads of one or two kinds, [B*T, S*n, kinds, d]."""
    num_latents, num_tokens = rotation.cos.shape[:2]
    heads = weighted.unflatten(1, (num_tokens, -1)).flatten(2, 3)  # [B*T, S, n * kinds, d]
    return rotation.apply(heads.unflatten(0, (-1, num_latents))).view(weighted.shape)


def _camera(beside: Tensor) -> Tensor:
    """Return the cameras, [..., s, s], of matrices that have something else beside them, [..., s, 2s]."""
    return beside[..., beside.shape[-2] :]


def _see(heads: Tensor, cameras: Tensor) -> Tensor:
    """Transform heads, [N, R, d], by cameras, [N, s, s]."""
    return torch.bmm(heads.reshape(len(heads), -1, cameras.shape[-1]), cameras).view(heads.shape)


def apply_camera(heads: Tensor, matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """Put the rope and the prope branch of heads side by side: [B*T, S*n, d] to [B*T, S*n, 2d].

    Args: matrices: as TokenPositions.value.
    """
    if not prefers_copies(heads):
        return torch.bmm(heads, matrices, out=out)
    return torch.cat([heads, _see(heads, _camera(matrices))], dim=-1, out=out)


def see_by_camera(attended: Tensor, matrices: Tensor) -> Tensor:
    """Transform the prope branch of attention, in [B*T, S*n, 2d].

    Args: matrices: as TokenPositions.output.
    """
    if not prefers_copies(attended):
        return torch.bmm(attended, matrices)
    rope, prope = attended.chunk(2, dim=-1)
    side = matrices.shape[-1] // 2
    return torch.cat([rope, _see(prope, matrices[:, side:, side:])], dim=-1)


def rotate(swapped: Tensor, normal: Tensor, sin: Tensor, direct: Tensor) -> None:
    """Complete the rotation in place: swapped pairs times sines, plus the heads times cosines, in float32."""
    torch.addcmul(swapped * sin, normal, direct, out=swapped)


def rotate_compiled(swapped: Tensor, normal: Tensor, sin: Tensor, direct: Tensor) -> None:
    """Do the same in a form that torch.compile takes."""
    swapped.copy_(torch.addcmul(swapped * sin, normal, direct))


def _heads_first(tokens: Tensor) -> Tensor:
    """Bring heads to the front: [B, T, S, n, 2, d] -> [B, 2n, T*S, d]."""
    return tokens.flatten(3, 4).flatten(1, 2).transpose(1, 2)
