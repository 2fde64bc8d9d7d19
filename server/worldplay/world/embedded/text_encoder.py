"""Encodes prompts for the embedded world: a tiny byte-level T5 that distinguishes the courtyard's lights."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor
from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

from worldplay.model.config import require_positive

MAX_STATES = 8  # of a prompt: one per word; in a longer prompt neighbouring words share a state
MAX_BYTES = 1024  # encoded at once; a longer prompt is encoded in parts
TIED = {"encoder.embed_tokens.weight": "shared.weight"}  # stored once, under the second name


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


def make_text_model(config: TextConfig) -> T5EncoderModel:
    """Make an encoder with initial weights."""
    return T5EncoderModel(
        T5Config(
            vocab_size=384,  # of ByT5: every byte, and the special tokens
            relative_attention_num_buckets=32,
            relative_attention_max_distance=64,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            use_cache=False,
            **asdict(config),
        )
    )


class TextReader:
    """Turns prompts into states: only a few each, because every state is a token for the transformer."""

    def __init__(self, model: T5EncoderModel) -> None:
        self.model = model
        self._tokenizer = ByT5Tokenizer()
        self._space = self._tokenizer(" ", add_special_tokens=False).input_ids[0]

    def read(self, prompts: Sequence[str]) -> list[Tensor]:
        """Encode each prompt: [1 to MAX_STATES, d_model]. Case is ignored; an empty prompt has one state."""
        pieces = [_cut(" ".join(prompt.casefold().split())) for prompt in prompts]
        every = [piece for cut in pieces for piece in cut]
        tokens = self._tokenizer(every, padding=True, return_tensors="pt").to(self.model.device)
        states = self.model(**tokens).last_hidden_state
        words = (tokens.input_ids == self._space).cumsum(dim=1)
        lengths = tokens.attention_mask.sum(dim=1).tolist()
        read = [(words[i, :length], states[i, :length]) for i, length in enumerate(lengths)]
        ends = [0, *accumulate(len(cut) for cut in pieces)]
        return [_pool(read[start:end]) for start, end in pairwise(ends)]


def _cut(text: str) -> list[str]:
    """Cut a text into parts of less than MAX_BYTES, between words if possible."""
    data, parts = text.encode(errors="replace"), list[str]()
    while len(data) >= MAX_BYTES:
        space = data.rfind(b" ", 0, MAX_BYTES)
        end = space if space > 0 else MAX_BYTES - 1
        parts.append(data[:end].decode(errors="ignore"))
        data = data[end:].lstrip()
    return [*parts, data.decode(errors="ignore")]


def _pool(parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Average the states of each word, or of neighbouring words: [1 to MAX_STATES, D].

    Args:
        parts: of each part the word numbers [L] and the states [L, D] of its bytes.
    """
    counts = [int(word[-1]) + 1 for word, _ in parts]
    firsts = accumulate(counts[:-1], initial=0)
    word = torch.cat([word + first for first, (word, _) in zip(firsts, parts, strict=True)])
    group = word * min(sum(counts), MAX_STATES) // sum(counts)
    members = torch.nn.functional.one_hot(group).to(parts[0][1].dtype)
    return (members / members.sum(dim=0)).mT @ torch.cat([states for _, states in parts])
