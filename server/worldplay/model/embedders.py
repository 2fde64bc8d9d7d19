"""Embedders: turn scalars, latents and the three kinds of text tokens into vectors of the hidden size."""

import functools
import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from worldplay.model.attention import attend

_NUM_FREQUENCIES = 128


def sinusoid(scalars: Tensor) -> Tensor:
    """Compute features of timesteps or labels [...]: [..., 256] float32, 128 cosines, then 128 sines."""
    angles = scalars.float()[..., None] * _frequencies(scalars.device)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


@functools.cache
def _frequencies(device: torch.device) -> Tensor:
    """10000 ** (-j / 128), [128] float32, rounded as the published models' features were.

    The rounding matters: at timestep 1000 the last digit of a frequency changes a feature by 3e-5. The
    exponent is rounded to float32, and so is its exp. The exp is computed in float64, because float32's exp
    differs between processors.
    """
    steps = torch.arange(_NUM_FREQUENCIES, dtype=torch.float32)
    exponents = -math.log(10000) * steps / _NUM_FREQUENCIES
    frequencies = exponents.double().exp().float()
    # This entry is 0.02 of its last digit from where rounding changes; the goldens have it rounded up.
    frequencies[12] = frequencies[12].nextafter(torch.tensor(1.0))
    return frequencies.to(device)


class ScalarEmbedder(nn.Module):
    """Timesteps or action labels to vectors: [...] -> [..., H]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * _NUM_FREQUENCIES, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
        )

    def forward(self, scalars: Tensor) -> Tensor:
        return self.mlp(sinusoid(scalars).to(next(self.parameters()).dtype))


class PatchEmbed(nn.Module):
    """Latents to tokens: [B, C, T, h, w] -> [B, T, S, H].

    A patch of (rows, columns) gives S = (h / rows) * (w / columns) tokens per latent; w varies fastest.
    """

    def __init__(self, channels: int, hidden: int, patch: tuple[int, int]) -> None:
        super().__init__()
        self.proj = nn.Conv3d(channels, hidden, (1, *patch), stride=(1, *patch))

    def forward(self, latents: Tensor) -> Tensor:
        _, rows, columns = self.proj.kernel_size
        # Patches do not overlap, so the stored convolution is a linear layer per token, and faster as one.
        tokens = rearrange(latents, "b c t (h i) (w j) -> b t (h w) (c i j)", i=rows, j=columns)
        return F.linear(tokens.to(self.proj.weight.dtype), self.proj.weight.flatten(1), self.proj.bias)


class ByT5Mapper(nn.Module):
    """Tokens of quoted words: [B, L, byt5_dim] -> [B, L, H]."""

    def __init__(self, byt5_dim: int, byt5_hidden: int, hidden: int) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(byt5_dim)
        self.fc1 = nn.Linear(byt5_dim, byt5_hidden)
        self.fc2 = nn.Linear(byt5_hidden, byt5_hidden)
        self.fc3 = nn.Linear(byt5_hidden, hidden)

    def forward(self, states: Tensor) -> Tensor:
        x = F.gelu(self.fc1(self.layernorm(states)))
        return self.fc3(F.gelu(self.fc2(x)))


class VisionProjection(nn.Module):
    """SigLIP tokens of the image: [B, L, vision_dim] -> [B, L, H]."""

    def __init__(self, vision_dim: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.LayerNorm(vision_dim),
            nn.Linear(vision_dim, vision_dim),
            nn.GELU(),
            nn.Linear(vision_dim, hidden),
            nn.LayerNorm(hidden),
        )

    def forward(self, states: Tensor) -> Tensor:
        return self.proj(states)


class TextProjection(nn.Module):
    """The mean of the text states to a vector: [B, text_dim] -> [B, H]."""

    def __init__(self, text_dim: int, hidden: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(text_dim, hidden)
        self.linear_2 = nn.Linear(hidden, hidden)

    def forward(self, mean_state: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(mean_state)))


class RefinerMLP(nn.Module):
    """The token refiner's MLP, with SiLU where the blocks have GELU."""

    def __init__(self, hidden: int, mlp_hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, mlp_hidden)
        self.fc2 = nn.Linear(mlp_hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.silu(self.fc1(x)))


class RefinerBlock(nn.Module):
    """Self-attention over text tokens, gated by the conditioning vector."""

    def __init__(self, hidden: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(hidden, eps=1e-6)
        self.self_attn_qkv = nn.Linear(hidden, 3 * hidden)
        self.self_attn_proj = nn.Linear(hidden, hidden)
        self.norm2 = nn.LayerNorm(hidden, eps=1e-6)
        self.mlp = RefinerMLP(hidden, int(hidden * mlp_ratio))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))

    def forward(self, x: Tensor, vec: Tensor, visible: Tensor) -> Tensor:
        gate1, gate2 = self.adaLN_modulation(vec)[:, None].chunk(2, dim=-1)
        qkv = self.self_attn_qkv(self.norm1(x))
        q, k, v = rearrange(qkv, "b l (three n d) -> three b n l d", three=3, n=self.heads).unbind()
        attended = rearrange(attend(q, k, v, mask=visible), "b n l d -> b l (n d)")
        x = x + self.self_attn_proj(attended) * gate1
        return x + self.mlp(self.norm2(x)) * gate2


class IndividualTokenRefiner(nn.Module):
    """The refiner's blocks, under the name that checkpoints give them."""

    def __init__(self, hidden: int, heads: int, mlp_ratio: float, num_blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(RefinerBlock(hidden, heads, mlp_ratio) for _ in range(num_blocks))

    def forward(self, x: Tensor, vec: Tensor, visible: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, vec, visible)
        return x


class TokenRefiner(nn.Module):
    """Language-model states of the prompt to tokens: [B, L, text_dim] -> [B, L, H]."""

    def __init__(self, text_dim: int, hidden: int, heads: int, mlp_ratio: float, num_blocks: int) -> None:
        super().__init__()
        self.input_embedder = nn.Linear(text_dim, hidden)
        self.t_embedder = ScalarEmbedder(hidden)
        self.c_embedder = TextProjection(text_dim, hidden)
        self.individual_token_refiner = IndividualTokenRefiner(hidden, heads, mlp_ratio, num_blocks)

    def forward(self, states: Tensor, mask: Tensor, timestep: Tensor) -> Tensor:
        """Refine states, [B, L, text_dim]; mask, [B, L] bool, marks the valid ones; timestep is [B]."""
        weights = mask[..., None].to(states.dtype)
        mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
        vec = self.t_embedder(timestep) + self.c_embedder(mean)
        return self.individual_token_refiner(self.input_embedder(states), vec, _visible_pairs(mask))


def _visible_pairs(mask: Tensor) -> Tensor:
    """Make the mask [B, 1, L, L]: valid tokens see each other; all see the first, so no row is empty."""
    pairs = mask[:, :, None] & mask[:, None, :]
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    return (pairs | first)[:, None]
