"""What a prompt and a start image become before the text pass."""

from dataclasses import dataclass
from typing import Protocol

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from worldplay.model.bidirectional import Prompt
from worldplay.world.court_text import TextReader

NEGATIVE_PROMPT = ""  # what guidance leads away from


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Inputs of the text pass (docs/worldplay-model.md 5.2): states [1, L, D], masks [1, L] of 0 and 1."""

    text_states: Tensor
    text_mask: Tensor
    byt5_states: Tensor
    byt5_mask: Tensor
    vision_states: Tensor | None  # None in text-to-video

    def as_prompt(self) -> Prompt:
        """The same, for the model that runs text and images together."""
        return Prompt(self.text_states, self.text_mask, self.byt5_states, self.byt5_mask, self.vision_states)


class Conditioner(Protocol):
    """Encoders of one model."""

    def encode(self, prompt: str, image: Image.Image, image_latent: Tensor) -> Conditioning: ...


@dataclass(frozen=True, slots=True)
class EmbeddedConditioner:
    """The embedded world's: a tiny T5 reads the prompt, the start image's own latent tells the place."""

    reader: TextReader
    byt5_dim: int

    def encode(self, prompt: str, image: Image.Image, image_latent: Tensor) -> Conditioning:
        (states,) = self.reader.read([prompt])
        return describe(states.to(image_latent), self.byt5_dim, image_latent)


def describe(prompt: Tensor, byt5_dim: int, image_latent: Tensor) -> Conditioning:
    """What the embedded world's transformer is told.

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
