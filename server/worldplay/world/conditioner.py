"""How a prompt and a start image become the inputs of the text pass."""

from dataclasses import dataclass
from typing import Protocol

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from worldplay.model.conditioning import Conditioning
from worldplay.world.embedded.text_encoder import TextReader

NEGATIVE_PROMPT = ""  # what guidance leads away from


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
