"""Conditions the embedded world's transformer on the prompt, read by a tiny T5, and the start latent."""

from collections.abc import Sequence

import torch
from cachetools import LRUCache
from einops import rearrange
from PIL import Image
from torch import Tensor

from worldplay.model.conditioning import Conditioning
from worldplay.world.embedded.text_encoder import TextReader
from worldplay.world.world import Suggestion

MOST_BYTES = 1000  # of a prompt that are read; each is a token, and attention is quadratic in them
REMEMBERED_PROMPTS = 32  # their states take 2 KB each


class EmbeddedConditioner:
    """The embedded world's encoders."""

    def __init__(self, reader: TextReader, byt5_dim: int, suggestions: Sequence[Suggestion]) -> None:
        """`suggestions` has one for each look that the world has learned."""
        self._reader = reader
        self._byt5_dim = byt5_dim
        self._suggestions = suggestions
        self._read: LRUCache[str, Tensor] = LRUCache(REMEMBERED_PROMPTS)
        self._looks = torch.stack([self._states(each.prompt).mean(dim=0) for each in suggestions])

    def encode(self, prompt: str, image: Image.Image, image_latent: Tensor) -> Conditioning:
        """Encode a prompt, moved to the look that it is taken as: between two it would show a mixture."""
        states = self._states(prompt)
        states = states - states.mean(dim=0) + self._looks[self._nearest_look(prompt)]
        return describe(states.to(image_latent), self._byt5_dim, image_latent)

    def taken_as(self, prompt: str) -> str | None:
        """Return the title of the suggestion whose states are nearest to the prompt's."""
        return self._suggestions[self._nearest_look(prompt)].title

    def _nearest_look(self, prompt: str) -> int:
        distances = torch.linalg.vector_norm(self._looks - self._states(prompt).mean(dim=0), dim=1)
        return int(distances.argmin())

    @torch.inference_mode()
    def _states(self, prompt: str) -> Tensor:
        """Read a prompt, once while it is among the latest: [words, D]."""
        text = shorten(prompt)
        if text not in self._read:
            (self._read[text],) = self._reader.read([text])
        return self._read[text]


def shorten(prompt: str) -> str:
    """Return a prompt's first and last words, if it is so long that reading it would stall every walk."""
    data = prompt.encode(errors="replace")
    if len(data) <= MOST_BYTES:
        return prompt
    first, last = data[: MOST_BYTES // 2], data[-MOST_BYTES // 2 :]
    return f"{first.decode(errors='ignore')} {last.decode(errors='ignore')}"


def describe(prompt: Tensor, byt5_dim: int, image_latent: Tensor) -> Conditioning:
    """Make the inputs of the text pass.

    Args:
        prompt: [words, D], the text encoder's states.
        image_latent: [1, C, 1, h, w], of the start image; each of its positions is a vision token.
    """
    words, device = len(prompt), prompt.device
    return Conditioning(
        text_states=prompt[None],
        text_mask=torch.ones(1, words, dtype=torch.long, device=device),
        byt5_states=torch.zeros(1, 1, byt5_dim, device=device),
        byt5_mask=torch.zeros(1, 1, dtype=torch.long, device=device),
        vision_states=rearrange(image_latent, "b c 1 h w -> b (h w) c"),
    )
