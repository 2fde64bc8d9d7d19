"""A T5 encoder of bytes, with the parameter names of transformers' T5EncoderModel.

The embedded world needs nothing else of transformers, which takes two seconds to import.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from worldplay.model.config import require_positive

PAD, END, FIRST_BYTE = 0, 1, 3  # tokens, as in ByT5
NUM_TOKENS = 384
NUM_BUCKETS, MAX_DISTANCE = 32, 64  # of relative positions
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Sizes of the encoder, under T5Config's names."""

    d_model: int
    d_kv: int
    d_ff: int
    num_heads: int
    num_layers: int

    def __post_init__(self) -> None:
        require_positive(**asdict(self))


def tokenize(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the tokens of texts, padded to the longest: [N, L] int64, and which of them count: [N, L]."""
    rows = [torch.tensor([*(byte + FIRST_BYTE for byte in text.encode()), END]) for text in texts]
    tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
    lengths = torch.tensor([len(row) for row in rows])
    return tokens, torch.arange(tokens.shape[1]) < lengths[:, None]


class ByteT5(nn.Module):
    """Reads tokens to states."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.shared = nn.Embedding(NUM_TOKENS, config.d_model)
        self.encoder = _Encoder(config)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Read texts.

        Args:
            tokens: [B, L].
            mask: [B, L] bool; False where a text has ended.
        Returns: [B, L, d_model].
        """
        states: Tensor = self.encoder(self.shared(tokens), mask)
        return states


class _Encoder(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.block = nn.ModuleList(_Block(config, is_first=n == 0) for n in range(config.num_layers))
        self.final_layer_norm = _Norm(config.d_model)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        place = torch.arange(x.shape[1])
        table = self.get_parameter("block.0.layer.0.SelfAttention.relative_attention_bias.weight")
        bias = rearrange(table[_bucket(place - place[:, None])], "q k heads -> 1 heads q k")
        bias = bias.masked_fill(~mask[:, None, None], torch.finfo(x.dtype).min)
        for block in self.block:
            x = block(x, bias)
        normed: Tensor = self.final_layer_norm(x)
        return normed


class _Block(nn.Module):
    def __init__(self, config: TextConfig, *, is_first: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList([_AttentionLayer(config, is_first=is_first), _FeedForwardLayer(config)])

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        attention, feed_forward = self.layer
        x = x + attention(x, bias)
        changed: Tensor = x + feed_forward(x)
        return changed


class _AttentionLayer(nn.Module):
    def __init__(self, config: TextConfig, *, is_first: bool) -> None:
        super().__init__()
        self.SelfAttention = _Attention(config, is_first=is_first)
        self.layer_norm = _Norm(config.d_model)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        attended: Tensor = self.SelfAttention(self.layer_norm(x), bias)
        return attended


class _FeedForwardLayer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.DenseReluDense = _FeedForward(config)
        self.layer_norm = _Norm(config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.DenseReluDense(self.layer_norm(x))
        return made


class _Norm(nn.Module):
    """Divides by the root of the mean square, without subtracting the mean."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON))


class _Attention(nn.Module):
    """T5's attention: scores are not scaled, and get a bias by how far two tokens are apart."""

    def __init__(self, config: TextConfig, *, is_first: bool) -> None:
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.num_heads = config.num_heads
        self.q = _linear(config.d_model, inner, (config.d_model * config.d_kv) ** -0.5)
        self.k = _linear(config.d_model, inner, config.d_model**-0.5)
        self.v = _linear(config.d_model, inner, config.d_model**-0.5)
        self.o = _linear(inner, config.d_model, inner**-0.5)
        if is_first:  # the encoder reads it, for all blocks
            self.relative_attention_bias = nn.Embedding(NUM_BUCKETS, config.num_heads)
            nn.init.normal_(self.relative_attention_bias.weight, std=config.d_model**-0.5)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (
            rearrange(project(x), "b l (heads d) -> b heads l d", heads=self.num_heads)
            for project in (self.q, self.k, self.v)
        )
        weights = (q @ k.mT + bias).softmax(dim=-1)
        attended: Tensor = self.o(rearrange(weights @ v, "b heads l d -> b l (heads d)"))
        return attended


class _FeedForward(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.wi_0 = _linear(config.d_model, config.d_ff, config.d_model**-0.5)
        self.wi_1 = _linear(config.d_model, config.d_ff, config.d_model**-0.5)
        self.wo = _linear(config.d_ff, config.d_model, config.d_ff**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))
        return made


def _linear(inputs: int, outputs: int, std: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=std)
    return layer


def _bucket(distance: Tensor) -> Tensor:
    """Return the bucket of each distance: half of them for tokens before, the rest for tokens after.

    The nearest ones have a bucket each. The others share buckets, which grow with the distance.
    """
    half = NUM_BUCKETS // 2
    exact = half // 2
    far = distance.abs()
    grown = torch.log(far.float().clamp(min=1) / exact) / torch.log(torch.tensor(MAX_DISTANCE / exact))
    shared = (exact + (grown * (half - exact)).long()).clamp(max=half - 1)
    return half * (distance > 0) + torch.where(far < exact, far, shared)
