"""The double-stream block: image tokens with a rope and a prope branch, and text tokens."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from worldplay.model.attention import EIGHT_BITS, attend
from worldplay.model.eight_bit_attention import attend_in_eight_bits
from worldplay.model.eight_bit_linears import RoundedMLP
from worldplay.model.heads import Heads
from worldplay.model.kv_cache import BlockCache, KVCache
from worldplay.model.packing import (
    PackedProjections,
    Projections,
    RoundedProjections,
    join_branches,
    join_heads,
)
from worldplay.model.ranks import ALONE, Ranks
from worldplay.model.regions import EAGER, MLP, NORM_EPS, Modulation, modulated_norm, split_modulation
from worldplay.model.token_positions import NormedPositions, TokenPositions


class Modulator(nn.Module):
    """Conditioning vectors [..., H] to six parts [..., 1, H], computed per latent, not per token."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, 6 * hidden)

    def forward(self, vec: Tensor) -> Modulation:
        return split_modulation(self.linear(F.silu(vec)))


class DoubleStreamBlock(nn.Module):
    """One block; the parameters of a stream start with its name, img or txt."""

    def __init__(self, hidden: int, heads: int, mlp_ratio: float, backend: str) -> None:
        super().__init__()
        self.heads, self.backend, self.regions = heads, backend, EAGER
        self.ranks: Ranks = ALONE
        self.packed: PackedProjections | RoundedProjections | None = None
        head_dim, mlp_hidden = hidden // heads, int(hidden * mlp_ratio)
        self.img_mod = Modulator(hidden)
        self.img_attn_q = nn.Linear(hidden, hidden)
        self.img_attn_k = nn.Linear(hidden, hidden)
        self.img_attn_v = nn.Linear(hidden, hidden)
        self.img_attn_q_norm = nn.RMSNorm(head_dim, eps=NORM_EPS)
        self.img_attn_k_norm = nn.RMSNorm(head_dim, eps=NORM_EPS)
        self.img_attn_proj = nn.Linear(hidden, hidden)
        self.img_attn_prope_proj = nn.Linear(hidden, hidden)
        self.img_mlp: MLP | RoundedMLP = MLP(hidden, mlp_hidden)
        self.txt_mod = Modulator(hidden)
        self.txt_attn_q = nn.Linear(hidden, hidden)
        self.txt_attn_k = nn.Linear(hidden, hidden)
        self.txt_attn_v = nn.Linear(hidden, hidden)
        self.txt_attn_q_norm = nn.RMSNorm(head_dim, eps=NORM_EPS)
        self.txt_attn_k_norm = nn.RMSNorm(head_dim, eps=NORM_EPS)
        self.txt_attn_proj = nn.Linear(hidden, hidden)
        self.txt_mlp = MLP(hidden, mlp_hidden)

    def forward(
        self,
        x: Tensor,
        mod: Modulation,
        positions: TokenPositions,
        normed: NormedPositions | None,
        cache: BlockCache,
        index: int,
    ) -> Tensor:
        """Take image tokens, [B, T, S, H], through the block.

        Args:
            mod: of the image stream.
            normed: positions, with this block's norms; None on a CPU.
            cache: the text's and context's keys and values; the tokens' own are appended to it.
            index: the block's in the cache.
        """
        weights = self.projections()
        own = self.image_heads(x, mod, weights, positions, normed)
        queries, keys, values = cache.extend(index, own)
        if self.backend == EIGHT_BITS and isinstance(cache, KVCache):
            before = cache.round_before(index, keys, values)
            attended = attend_in_eight_bits(queries, keys, values, before)
        else:
            attended = attend(queries, keys, values, self.backend)
        attended = self.ranks.own_attended(attended, positions.num_latents, self.heads)
        return self.image_update(x, mod, weights, attended, positions.output)

    def store(
        self,
        x: Tensor,
        mod: Modulation,
        positions: TokenPositions,
        normed: NormedPositions | None,
        cache: BlockCache,
        index: int,
    ) -> None:
        """Only append the keys and values of image tokens, [B, T, S, H], to the cache. Args: as `forward`."""
        cache.extend(index, self.image_heads(x, mod, self.projections(), positions, normed))

    def image_heads(
        self,
        x: Tensor,
        mod: Modulation,
        weights: Projections,
        positions: TokenPositions,
        normed: NormedPositions | None,
    ) -> Heads:
        """Compute keys, queries and values of image tokens, [B, T, S, H], for this rank's heads."""
        raw, normal = self.regions.project(x, mod, weights, self.heads)
        own = Heads(raw, normal, weights.norms, self.heads, positions, normed, self.regions.rotate)
        return self.ranks.own_heads(own)

    def image_update(
        self, x: Tensor, mod: Modulation, weights: Projections, attended: Tensor, cameras: Tensor
    ) -> Tensor:
        """Add both branches' attention, [B, 2n, T*S, d], and the MLP's update to image tokens, [B, T, S, H].

        Args: cameras: as TokenPositions.output.
        """
        return self.regions.update(x, mod, weights, attended, cameras, self.img_mlp)

    def projections(self) -> Projections:
        """Return the weights around the image's attention: packed, or joined anew, with gradients."""
        if self.packed is not None:
            return self.packed()
        layers = self.img_attn_k, self.img_attn_q, self.img_attn_v
        rope, prope = self.img_attn_proj, self.img_attn_prope_proj
        return Projections(
            heads=join_heads([layer.weight for layer in layers], self.heads),
            heads_bias=join_heads([layer.bias for layer in layers], self.heads),
            norms=self.norms(),
            output=join_branches(rope.weight, prope.weight, self.heads),
            output_bias=rope.bias + prope.bias,
        )

    def norms(self) -> Tensor:
        """Return the weights of the norms of keys and queries, [2, d]."""
        if self.packed is not None:
            return self.packed().norms
        return torch.stack([self.img_attn_k_norm.weight, self.img_attn_q_norm.weight])

    def pack(self) -> None:
        """Join the weights around the image's attention once, and release the parameters."""
        self.packed = PackedProjections(self.projections())
        del self.img_attn_k, self.img_attn_q, self.img_attn_v, self.img_attn_proj, self.img_attn_prope_proj
        del self.img_attn_k_norm, self.img_attn_q_norm, self.img_mod

    def round_weights(self) -> None:
        """Compute the image stream's linear layers in 8 bits from now on. The block must be packed."""
        assert isinstance(self.packed, PackedProjections)
        assert isinstance(self.img_mlp, MLP)
        self.packed = RoundedProjections(self.packed)
        self.img_mlp = RoundedMLP(self.img_mlp.fc1, self.img_mlp.fc2)

    def text_pass(self, x: Tensor, vec: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take text tokens, [B, L, H], through the block; vec is [B, H].

        Returns: the tokens, and their keys and values, [B, n, L, d].
        """
        mod = self.txt_mod(vec)
        q, k, v = self.text_queries_keys_values(x, mod)
        return self.text_output(x, attend(q, k, v, self.backend), mod), k, v

    def text_keys_values(self, x: Tensor, vec: Tensor) -> tuple[Tensor, Tensor]:
        """Compute only the keys and values, [B, n, L, d], of text tokens, [B, L, H]."""
        _, k, v = self.text_queries_keys_values(x, self.txt_mod(vec))
        return k, v

    def text_queries_keys_values(self, x: Tensor, mod: Modulation) -> tuple[Tensor, Tensor, Tensor]:
        """Compute queries, keys and values, each [B, n, L, d], of text tokens, [B, L, H]."""
        y = modulated_norm(x, mod.shift1, mod.factor1)
        q = self.txt_attn_q_norm(self._split(self.txt_attn_q(y)))
        k = self.txt_attn_k_norm(self._split(self.txt_attn_k(y)))
        v = self._split(self.txt_attn_v(y))
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def text_output(self, x: Tensor, attended: Tensor, mod: Modulation) -> Tensor:
        """Add attention, [B, n, L, d], and then the MLP's update to text tokens, [B, L, H]."""
        update = self.txt_attn_proj(rearrange(attended, "b n l d -> b l (n d)"))
        x = torch.addcmul(x, mod.gate1, update)
        return torch.addcmul(x, mod.gate2, self.txt_mlp(modulated_norm(x, mod.shift2, mod.factor2)))

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "... (n d) -> ... n d", n=self.heads)


class FinalLayer(nn.Module):
    """Image tokens to velocities: [B, T, S, H] -> [B, T, S, C * patch area]."""

    def __init__(self, hidden: int, out_features: int) -> None:
        super().__init__()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))
        self.linear = nn.Linear(hidden, out_features)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Args: modulation: of each latent, [B, T, 2 H], as `adaLN_modulation` computes it."""
        shift, scale = modulation[..., None, :].chunk(2, dim=-1)
        return self.linear(modulated_norm(x, shift, 1 + scale))
