"""How the embedded world reads a prompt: a tiny T5 over bytes, trained to tell the courtyard's lights."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

from worldplay.model.positive import require_positive

MAX_STATES = 8  # of a prompt: a word each, or neighbouring words together where there are more
MAX_BYTES = 1024
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
    """An encoder with fresh weights."""
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
    """Prompts to states, few of them, as each is a token to the transformer."""

    def __init__(self, model: T5EncoderModel) -> None:
        self.model = model
        self._tokenizer = ByT5Tokenizer()
        self._space = self._tokenizer(" ", add_special_tokens=False).input_ids[0]

    def read(self, prompts: Sequence[str]) -> list[Tensor]:
        """States [1 to MAX_STATES, d_model] of each prompt; case does not matter; no words count as one."""
        texts = [" ".join(prompt.casefold().split()) for prompt in prompts]
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=MAX_BYTES, return_tensors="pt"
        ).to(self.model.device)
        states = self.model(**tokens).last_hidden_state
        word = (tokens.input_ids == self._space).cumsum(dim=1)
        words = 1 + (word * tokens.attention_mask).amax(dim=1, keepdim=True)
        group = (word * words.clamp(max=MAX_STATES) // words).clamp(max=MAX_STATES - 1)
        members = torch.nn.functional.one_hot(group, MAX_STATES) * tokens.attention_mask[..., None]
        shares = members / members.sum(dim=1, keepdim=True).clamp(min=1)
        means = shares.to(states.dtype).mT @ states
        counts = members.any(dim=1).sum(dim=1)
        return [mean[: int(count)] for mean, count in zip(means, counts, strict=True)]
