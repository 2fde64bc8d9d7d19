"""Conditions the released model on prompts and images, and caches what was encoded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import torch
from cachetools import LRUCache
from PIL import Image
from torch import Tensor

from worldplay.model.conditioning import Conditioning

if TYPE_CHECKING:  # it imports transformers
    from worldplay.world.released.encoders import GlyphEncoder, PromptEncoder, VisionEncoder

REMEMBERED = 32  # a prompt's states take at most 9 MB, an image's 2 MB

_PromptStates = tuple[Tensor, Tensor | None]  # of the text, and of its quoted words, if any
InUse = Callable[[], AbstractContextManager[torch.device]]


@dataclass(frozen=True, slots=True)
class Encoders:
    """The three encoders, each with a context manager that makes it usable and yields its device."""

    text: PromptEncoder
    glyph: GlyphEncoder
    vision: VisionEncoder
    text_in_use: InUse
    glyph_in_use: InUse
    vision_in_use: InUse


@dataclass(frozen=True, slots=True)
class ReleasedConditioner:
    """Encodes prompts and images. The latest results are cached."""

    encoders: Encoders
    _prompts: LRUCache[str, _PromptStates] = field(default_factory=lambda: LRUCache(REMEMBERED))
    _images: LRUCache[bytes, Tensor] = field(default_factory=lambda: LRUCache(REMEMBERED))

    def encode(self, prompt: str, image: Image.Image, image_latent: Tensor) -> Conditioning:
        device = image_latent.device
        text, glyphs = (
            self._prompts[prompt] if prompt in self._prompts else self._encode_prompt(prompt, device)
        )
        self._prompts[prompt] = text, glyphs
        digest = sha256(repr(image.size).encode() + image.tobytes()).digest()
        vision = self._images[digest] if digest in self._images else self._encode_image(image, device)
        self._images[digest] = vision
        no_glyphs = torch.zeros(1, 1, self.encoders.glyph.width, device=device)
        return Conditioning(
            text_states=text,
            text_mask=_all_valid(text),
            byt5_states=no_glyphs if glyphs is None else glyphs,
            byt5_mask=torch.zeros_like(_all_valid(no_glyphs)) if glyphs is None else _all_valid(glyphs),
            vision_states=vision,
        )

    def taken_as(self, prompt: str) -> str | None:
        return None  # the model follows any text

    def _encode_prompt(self, prompt: str, device: torch.device) -> tuple[Tensor, Tensor | None]:
        with self.encoders.text_in_use() as place:
            text = self.encoders.text.encode(prompt, place).to(device)
        with self.encoders.glyph_in_use() as place:
            glyphs = self.encoders.glyph.encode(prompt, place)
        return text, None if glyphs is None else glyphs.to(device)

    def _encode_image(self, image: Image.Image, device: torch.device) -> Tensor:
        with self.encoders.vision_in_use() as place:
            return self.encoders.vision.encode(image, place).to(device)


def _all_valid(states: Tensor) -> Tensor:
    return torch.ones(states.shape[:2], dtype=torch.long, device=states.device)
