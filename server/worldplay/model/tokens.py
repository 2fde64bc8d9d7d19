"""Image tokens' queries, keys and values in both branches: rope and prope."""

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor

from worldplay.model.prope import Cameras
from worldplay.model.rope import Rotation, swap_pairs

KEY, QUERY, VALUE = range(3)  # of each head, in the product that computes all three


@dataclass(frozen=True, slots=True)
class Turns:
    """What turns one block's normalised keys and queries; a stack of several blocks' begins with [K, ...].

    The weights of the block's norms are multiplied in.
    """

    products: Tensor  # [2, B*T, d, 2d], to pairs swapped for the rotation, and to the prope branch
    direct: Tensor  # [2, 1, T, S, 1, d] float32, cosines

    def of_block(self, index: int) -> "Turns":
        return Turns(self.products[index], self.direct[index])


@dataclass(frozen=True, slots=True)
class Placement:
    """Where image tokens are: rotations of the rope branch, and products with cameras of the prope branch.

    A head's two branches lie beside each other, [rope, prope]; what passes only one has an identity. `s` is
    the side of the cameras.
    """

    rotation: Rotation
    turn: Tensor  # [2, B*T, s, 2s], of keys and queries: [pairs swapped | camera]
    value: Tensor  # [B*T, s, 2s]: [identity | camera]
    output: Tensor  # [B*T, 2s, 2s]: identity and camera on the diagonal

    @property
    def num_latents(self) -> int:
        return self.rotation.cos.shape[0]

    @property
    def tokens_per_latent(self) -> int:
        return self.rotation.cos.shape[1]

    def turns(self, norms: Tensor) -> Turns | None:
        """Multiply in the weights of blocks' norms of keys and queries, [..., 2, d].

        Returns: None on a CPU, which turns heads in other ways.
        """
        if is_on_cpu(norms):
            return None
        weights = norms[..., :, None, :, None]
        direct = norms.float()[..., :, None, None, None, None, :] * self.rotation.cos
        return Turns(weights * self.turn, direct)

    def first(self, num_latents: int) -> "Placement":
        """Return the placement of the first latents, of one sample."""
        return Placement(
            Rotation(*(part[:num_latents] for part in self.rotation)),
            self.turn[:, :num_latents],
            self.value[:num_latents],
            self.output[:num_latents],
        )

    def followed_by(self, other: "Placement") -> "Placement":
        """Return this placement, and then that of later latents, of one sample."""
        return Placement(
            Rotation(*(torch.cat(parts) for parts in zip(self.rotation, other.rotation, strict=True))),
            torch.cat([self.turn, other.turn], dim=1),
            torch.cat([self.value, other.value]),
            torch.cat([self.output, other.output]),
        )


def place_tokens(rotation: Rotation, cameras: Cameras) -> Placement:
    """Prepare the placement of a pass's tokens."""
    query, key_value, output = (matrices.flatten(0, 1) for matrices in cameras.parts())
    identity = torch.eye(query.shape[-1], dtype=query.dtype, device=query.device).expand_as(query)
    nothing = torch.zeros_like(query)
    swap = swap_pairs(identity)
    return Placement(
        rotation,
        turn=torch.cat([torch.stack([swap, swap]), torch.stack([key_value, query])], dim=-1),
        value=torch.cat([identity, key_value], dim=-1),
        output=torch.cat([torch.cat([identity, nothing], -1), torch.cat([nothing, output], -1)], dim=-2),
    )


@dataclass(frozen=True, slots=True)
class Heads:
    """Image tokens' keys, queries and values before they are turned, [B*T, S*n, 3, d].

    `normal` divides them by their root mean square; only keys and queries of it are read.
    """

    raw: Tensor
    normal: Tensor
    norms: Tensor  # [2, d], weights of the block's norms of keys and queries
    num_heads: int
    place: Placement
    turns: Turns | None  # as from Placement.turns
    rotate: Callable[[Tensor, Tensor, Tensor, Tensor], None]  # the function below, or a compiled one

    @property
    def num_tokens(self) -> int:
        """Return the tokens of a sample."""
        return self.place.num_latents * self.raw.shape[1] // self.num_heads

    def branches(self) -> tuple[Tensor, Tensor, Tensor]:
        """Turn queries, keys and values, [B, 2n, T*S, d] each; both branches of a head are neighbours."""
        if torch.is_grad_enabled():
            keys_queries, values = self._turn_for_gradients()
        else:
            shape = (self.raw.shape[0] * self.raw.shape[1] // self.num_heads, self.num_heads, 2, self._width)
            keys_queries, values = self.raw.new_empty(2, *shape), self.raw.new_empty(shape)
            self.write(keys_queries, values)
        keys, queries = (_heads_first(part) for part in self._split(keys_queries))
        (split_values,) = self._split(values[None])
        return queries, keys, _heads_first(split_values)

    def _turn_for_gradients(self) -> tuple[Tensor, Tensor]:
        """Do what `write` does, but to new tensors, [2, ...] and [...], and fast backwards on a CPU."""
        weighted = self._keys_queries() * self.norms[:, None, None, None, None]
        cameras = _camera(self.place.turn).flatten(0, 1)
        prope = _see(weighted.reshape(len(cameras), -1, self._width), cameras).view(weighted.shape)
        turned = torch.stack([self.place.rotation.apply(weighted), prope], dim=-2)
        return turned, apply_camera(self.raw[:, :, VALUE], self.place.value)

    def write(self, keys_queries: Tensor, values: Tensor) -> None:
        """Turn them where attention reads them, without gradients.

        Args: keys_queries: [2, B*T*S, n, 2, d]; values: [B*T*S, n, 2, d].
        """
        if is_on_cpu(self.raw):
            self.write_apart(keys_queries[KEY], keys_queries[QUERY], values)
            return
        assert self.turns is not None, "heads on a GPU have no turns"
        rows = *self.raw.shape[:2], 2 * self._width
        apply_camera(self.raw[:, :, VALUE], self.place.value, out=values.view(rows))
        for part in (KEY, QUERY):
            turn(self.normal[:, :, part], self.turns.products[part], keys_queries[part].view(rows))
        sin, direct = self.place.rotation.sin, self.turns.direct
        self.rotate(self._split(keys_queries)[..., 0, :], self._keys_queries(), sin, direct)

    def write_apart(self, keys: Tensor, queries: Tensor, values: Tensor) -> None:
        """Do what `write` does as a CPU does it fastest, to views, [B*T*S, n, 2, d] each, of any strides."""
        shape = (*keys.shape[:2], 2, self._width)
        weighted = self.normal[:, :, :VALUE] * self.norms.float()
        rope = _rotate_pairs(weighted, self.place.rotation).view(shape)
        parts = self.raw.new_empty(3, *self.raw[:, :, 0].shape)  # as in raw, but kind by kind
        parts[:VALUE].copy_(weighted.movedim(2, 0))
        parts[VALUE].copy_(self.raw[:, :, VALUE])
        cameras = torch.cat([_camera(each) for each in (*self.place.turn, self.place.value)])
        prope = _see(parts.flatten(0, 1), cameras).view(3, *shape[:2], self._width)
        for part, out in ((KEY, keys), (QUERY, queries)):
            out[:, :, 0].copy_(rope[:, :, part])
            out[:, :, 1].copy_(prope[part])
        values[:, :, 0].copy_(parts[VALUE].view(values[:, :, 0].shape))
        values[:, :, 1].copy_(prope[VALUE])

    def _keys_queries(self) -> Tensor:
        """View normalised keys and queries as [2, B, T, S, n, d]."""
        shape = (-1, self.place.num_latents, self.raw.shape[1] // self.num_heads, self.num_heads)
        return self.normal.unflatten(1, shape[2:]).unflatten(0, shape[:2])[..., :VALUE, :].movedim(-2, 0)

    def _split(self, turned: Tensor) -> Tensor:
        """View turned heads of one or two kinds as [kinds, B, T, S, n, 2, d]."""
        num_tokens = self.raw.shape[1] // self.num_heads
        return turned.view(
            len(turned), -1, self.place.num_latents, num_tokens, self.num_heads, 2, self._width
        )

    @property
    def _width(self) -> int:
        return self.raw.shape[-1]


def turn_keys(keys: Tensor, values: Tensor, norms: Tensor, place: Placement) -> tuple[Tensor, Tensor]:
    """Turn normalised keys and raw values, [T, S*n, d], as `Heads.write` does: [T, S*n, 2d] each.

    Args: norms: as in Heads.
    """
    if is_on_cpu(keys):
        weighted = keys * norms[KEY].float()
        rope = _rotate_pairs(weighted[:, :, None], place.rotation)[:, :, 0].to(keys.dtype)
        turned = torch.cat([rope, _see(weighted.to(keys.dtype), _camera(place.turn[KEY]))], dim=-1)
        return turned, apply_camera(values, place.value)
    turns, num_tokens = place.turns(norms), place.rotation.cos.shape[1]
    assert turns is not None, "keys on a GPU have no turns"
    turned = turn(keys, turns.products[KEY])
    swapped, normal = (part.unflatten(1, (num_tokens, -1)) for part in (turned[..., : keys.shape[-1]], keys))
    rotate(swapped, normal, place.rotation.sin, turns.direct[KEY, 0])
    return turned, apply_camera(values, place.value)


def is_on_cpu(tensor: Tensor) -> bool:
    """Return whether copies and small products are faster than large products."""
    return tensor.device.type == "cpu"


def turn(normal: Tensor, products: Tensor, out: Tensor | None = None) -> Tensor:
    """Put swapped pairs and the prope branch of heads side by side: [B*T, S*n, d] to [B*T, S*n, 2d].

    Args: products: a row of Turns.products.
    """
    return torch.bmm(normal, products, out=out)


def _rotate_pairs(weighted: Tensor, rotation: Rotation) -> Tensor:
    """Rotate heads of one or two kinds, [B*T, S*n, kinds, d]."""
    num_latents, num_tokens = rotation.cos.shape[:2]
    heads = weighted.unflatten(1, (num_tokens, -1)).flatten(2, 3)  # [B*T, S, n * kinds, d]
    return rotation.apply(heads.unflatten(0, (-1, num_latents))).view(weighted.shape)


def camera_side(head_dim: int, poses: Tensor) -> int:
    """Return the side of the cameras of poses: a CPU multiplies heads in pieces, which is less work."""
    return gcd(16, head_dim) if is_on_cpu(poses) else head_dim


def _camera(beside: Tensor) -> Tensor:
    """Return the cameras, [..., s, s], of matrices that have something else beside them, [..., s, 2s]."""
    return beside[..., beside.shape[-2] :]


def _see(heads: Tensor, cameras: Tensor) -> Tensor:
    """Transform heads, [N, R, d], by cameras, [N, s, s]."""
    return torch.bmm(heads.reshape(len(heads), -1, cameras.shape[-1]), cameras).view(heads.shape)


def apply_camera(heads: Tensor, matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """Put the rope and the prope branch of heads side by side: [B*T, S*n, d] to [B*T, S*n, 2d].

    Args: matrices: as Placement.value.
    """
    if not is_on_cpu(heads):
        return torch.bmm(heads, matrices, out=out)
    return torch.cat([heads, _see(heads, _camera(matrices))], dim=-1, out=out)


def see_by_camera(attended: Tensor, matrices: Tensor) -> Tensor:
    """Transform the prope branch of attention, in [B*T, S*n, 2d].

    Args: matrices: as Placement.output.
    """
    if not is_on_cpu(attended):
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
