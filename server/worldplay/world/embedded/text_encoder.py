"""Encodes prompts for the embedded world: a tiny byte-level T5 that distinguishes the courtyard's lights."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from worldplay.world.embedded.byte_t5 import FIRST_BYTE, ByteT5, tokenize

MAX_STATES = 8  # of a prompt: one per word; in a longer prompt neighbouring words share a state
SPACE = ord(" ") + FIRST_BYTE
MAX_BYTES = 256  # encoded together, because attention is quadratic; a longer prompt is encoded in parts


class TextReader:
    """Turns prompts into states: only a few each, because every state is a token for the transformer."""

    def __init__(self, model: ByteT5) -> None:
        self.model = model

    def read(self, prompts: Sequence[str]) -> list[Tensor]:
        """Encode each prompt: [1 to MAX_STATES, d_model]. Case is ignored; an empty prompt has one state."""
        pieces = [_cut(" ".join(prompt.casefold().split())) for prompt in prompts]
        every = [piece for cut in pieces for piece in cut]
        tokens, mask = tokenize(every)
        states = self.model(tokens, mask)
        words = (tokens == SPACE).cumsum(dim=1)
        lengths = mask.sum(dim=1).tolist()
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
