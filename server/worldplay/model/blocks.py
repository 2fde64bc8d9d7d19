"""The double-stream block: image tokens with a rope and a prope branch, and text tokens."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from worldplay.model.attention import attend
from worldplay.model.kv_cache import Cache
from worldplay.model.prope import Cameras, transform
from worldplay.model.rope import rotate
from worldplay.model.tokens import Branches, ImageKV, Placement, heads_first

_EPS = 1e-6


class Modulation(NamedTuple):
    """Shifts, scales and gates of one stream of a block; each broadcasts against the tokens."""

    shift1: Tensor
    scale1: Tensor
    gate1: Tensor
    shift2: Tensor
    scale2: Tensor
    gate2: Tensor


class Modulator(nn.Module):
    """Conditioning vectors [..., H] to six parts [..., 1, H], computed per latent, not per token."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, 6 * hidden)

    def forward(self, vec: Tensor) -> Modulation:
        return Modulation(*self.linear(F.silu(vec))[..., None, :].chunk(6, dim=-1))


class MLP(nn.Module):
    """The block's feed-forward part."""

    def __init__(self, hidden: int, mlp_hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, mlp_hidden)
        self.fc2 = nn.Linear(mlp_hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


def modulated_norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without parameters of its own, then x * (1 + scale) + shift."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=_EPS), 1 + scale)


class DoubleStreamBlock(nn.Module):
    """One block; the parameters of a stream start with its name, img or txt."""

    def __init__(self, index: int, hidden: int, heads: int, mlp_ratio: float, backend: str) -> None:
        super().__init__()
        self.index, self.heads, self.backend = index, heads, backend
        head_dim, mlp_hidden = hidden // heads, int(hidden * mlp_ratio)
        self.img_mod = Modulator(hidden)
        self.img_attn_q = nn.Linear(hidden, hidden)
        self.img_attn_k = nn.Linear(hidden, hidden)
        self.img_attn_v = nn.Linear(hidden, hidden)
        self.img_attn_q_norm = nn.RMSNorm(head_dim, eps=_EPS)
        self.img_attn_k_norm = nn.RMSNorm(head_dim, eps=_EPS)
        self.img_attn_proj = nn.Linear(hidden, hidden)
        self.img_attn_prope_proj = nn.Linear(hidden, hidden)
        self.img_mlp = MLP(hidden, mlp_hidden)
        self.txt_mod = Modulator(hidden)
        self.txt_attn_q = nn.Linear(hidden, hidden)
        self.txt_attn_k = nn.Linear(hidden, hidden)
        self.txt_attn_v = nn.Linear(hidden, hidden)
        self.txt_attn_q_norm = nn.RMSNorm(head_dim, eps=_EPS)
        self.txt_attn_k_norm = nn.RMSNorm(head_dim, eps=_EPS)
        self.txt_attn_proj = nn.Linear(hidden, hidden)
        self.txt_mlp = MLP(hidden, mlp_hidden)

    def forward(self, x: Tensor, vec: Tensor, place: Placement, cache: Cache) -> Tensor:
        """Take image tokens, [B, T, S, H], through the block.

        Args:
            vec: [B, T, H], a conditioning vector per latent.
            cache: the text's and context's keys and values; the tokens' own are appended to it.
        """
        mod = self.img_mod(vec)
        y = modulated_norm(x, mod.shift1, mod.scale1)
        keys, values = cache.extend(self.index, self.image_keys_values(y, place))
        queries = torch.cat(self.image_queries(y, place))
        attended = attend(heads_first(queries), keys, values, self.backend)
        x = torch.addcmul(x, mod.gate1, self.image_output(attended, place.cameras))
        return self.image_mlp(x, mod)

    def store(self, x: Tensor, vec: Tensor, place: Placement, cache: Cache) -> None:
        """Only append the keys and values of image tokens, [B, T, S, H], to the cache. Args: as `forward`."""
        mod = self.img_mod(vec)
        y = modulated_norm(x, mod.shift1, mod.scale1)
        cache.extend(self.index, self.image_keys_values(y, place))

    def image_queries(self, y: Tensor, place: Placement) -> Branches:
        """Both branches' queries, each [B, T, S, n, d], of normalised image tokens y, [B, T, S, H]."""
        q = self.img_attn_q_norm(self._split(self.img_attn_q(y)))
        return rotate(q, place.rope), transform(q, place.cameras.query)

    def image_keys_values(self, y: Tensor, place: Placement) -> ImageKV:
        """Keys and values of normalised image tokens y, [B, T, S, H]."""
        k = self.img_attn_k_norm(self._split(self.img_attn_k(y)))
        return ImageKV(k, self._split(self.img_attn_v(y)), place)

    def image_output(self, attended: Tensor, cameras: Cameras) -> Tensor:
        """Project both branches' attention, [2B, n, T*S, d], to one update [B, T, S, H]."""
        num_latents = cameras.num_latents
        rope, prope = rearrange(attended, "(two b) n (t s) d -> two b t s n d", two=2, t=num_latents).unbind()
        prope = transform(prope, cameras.output)
        return self.img_attn_proj(rope.flatten(-2)) + self.img_attn_prope_proj(prope.flatten(-2))

    def image_mlp(self, x: Tensor, mod: Modulation) -> Tensor:
        """Add the MLP's update to image tokens, [B, T, S, H]."""
        return torch.addcmul(x, mod.gate2, self.img_mlp(modulated_norm(x, mod.shift2, mod.scale2)))

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
        y = modulated_norm(x, mod.shift1, mod.scale1)
        q = self.txt_attn_q_norm(self._split(self.txt_attn_q(y)))
        k = self.txt_attn_k_norm(self._split(self.txt_attn_k(y)))
        v = self._split(self.txt_attn_v(y))
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def text_output(self, x: Tensor, attended: Tensor, mod: Modulation) -> Tensor:
        """Add attention, [B, n, L, d], and then the MLP's update to text tokens, [B, L, H]."""
        update = self.txt_attn_proj(rearrange(attended, "b n l d -> b l (n d)"))
        x = torch.addcmul(x, mod.gate1, update)
        return torch.addcmul(x, mod.gate2, self.txt_mlp(modulated_norm(x, mod.shift2, mod.scale2)))

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "... (n d) -> ... n d", n=self.heads)


class FinalLayer(nn.Module):
    """Image tokens to velocities: [B, T, S, H] -> [B, T, S, C * patch area]."""

    def __init__(self, hidden: int, out_features: int) -> None:
        super().__init__()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))
        self.linear = nn.Linear(hidden, out_features)

    def forward(self, x: Tensor, vec: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(vec)[..., None, :].chunk(2, dim=-1)
        return self.linear(modulated_norm(x, shift, scale))
