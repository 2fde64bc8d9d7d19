"""The released model's encoders: language model, quoted words, picture (docs/worldplay-model.md 14)."""

import re
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import (
    ByT5Tokenizer,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    Qwen2Tokenizer,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
)
from transformers.models.siglip.modeling_siglip import SiglipVisionEmbeddings

from worldplay.world.pictures.fit import siglip_crop
from worldplay.world.released.encoder_files import (
    GLYPH_INPUTS,
    PROMPT_INPUTS,
    VISION_INPUTS,
    glyph_names,
    language_names,
    read_style_tokens,
    vision_names,
)
from worldplay.world.released.encoder_library import blaming, build_encoder, read_config, read_inputs
from worldplay.world.released.files import EncoderFiles, GlyphFiles
from worldplay.world.weight_files import find_weights
from worldplay.world.weights import fill

MAX_PROMPT_TOKENS = 1000  # the closing chat tokens included
MAX_GLYPH_TOKENS = 256
_HIDDEN_LAYER = -3  # the output two layers before the last, not normalised

# The runs of nine spaces belong to the published text.
_SYSTEM = (" " * 9).join(
    (
        "You are a helpful assistant. Describe the video by detailing the following aspects:",
        "1. The main content and theme of the video.",
        "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects.",
        "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects.",
        "4. background environment, light, style and atmosphere.",
        "5. camera angles, movements, and transitions used in the video.",
    )
)
_BEFORE_PROMPT = f"<|im_start|>system\n{_SYSTEM}<|im_end|>\n<|im_start|>user\n"
_AFTER_PROMPT = "<|im_end|>\n<|im_start|>assistant\n"
_PUBLISHED_VOCABULARY = 151_643  # tokens of Qwen2.5, without its chat tokens
_PUBLISHED_CROP = 108  # tokens before the prompt (docs/worldplay-model.md 14)

_QUOTED = re.compile(r'"(.*?)"|“(.*?)”')


class PromptEncoder:
    """Qwen2.5-VL's language part."""

    def __init__(self, files: EncoderFiles, device: torch.device, dtype: torch.dtype) -> None:
        config = read_config(Qwen2_5_VLTextConfig, files.model)
        weights = find_weights(files.model)
        self.model = build_encoder(lambda: Qwen2_5_VLTextModel(config), files.model)
        fill(self.model, weights, dtype, lambda _: device, language_names(weights.keys))
        # Its table is not a parameter, so `fill` leaves it empty.
        rotary: Any = type(self.model.rotary_emb)
        self.model.rotary_emb = rotary(config).to(device)
        self._tokenizer = read_inputs(Qwen2Tokenizer, files.inputs, PROMPT_INPUTS)
        with blaming(files.inputs, "makes no tokens"):
            self._crop = self._count_tokens(_BEFORE_PROMPT)
        self._check_tokenizer(files.inputs)

    @property
    def width(self) -> int:
        return int(self.model.config.hidden_size)

    def _count_tokens(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _check_tokenizer(self, folder: Path) -> None:
        """Refuse an incomplete tokenizer, which would silently split special tokens into several."""
        for mark in ("<|im_start|>", "<|im_end|>"):
            if (count := self._count_tokens(mark)) != 1:
                raise ValueError(f"{folder} makes {count} tokens of {mark} instead of one")
        if len(self._tokenizer) >= _PUBLISHED_VOCABULARY and self._crop != _PUBLISHED_CROP:
            raise ValueError(
                f"{folder} makes {self._crop} tokens of the frame around a prompt instead of "
                f"{_PUBLISHED_CROP}"
            )

    @torch.inference_mode()
    def encode(self, prompt: str, device: torch.device) -> Tensor:
        """Encode a prompt in its chat frame: states [1, L, D], all valid; L is at most 1000."""
        text = _BEFORE_PROMPT + (prompt or " ") + _AFTER_PROMPT
        # No padding: later tokens do not affect earlier ones, and padded ones would be dropped anyway.
        tokens = self._tokenizer(
            text,
            add_special_tokens=False,
            truncation=True,
            max_length=self._crop + MAX_PROMPT_TOKENS,
            return_tensors="pt",
        ).input_ids.to(device)
        states = self.model(input_ids=tokens, output_hidden_states=True, use_cache=False).hidden_states
        return states[_HIDDEN_LAYER][:, self._crop :]


class GlyphEncoder:
    """ByT5 as trained by Glyph: encodes the spelling of quoted words."""

    def __init__(self, files: GlyphFiles, device: torch.device) -> None:
        tokenizer = read_inputs(ByT5Tokenizer, files.tokenizer, GLYPH_INPUTS)
        if files.assets is not None:
            tokenizer.add_tokens(read_style_tokens(files.assets), special_tokens=True)
        config = read_config(T5Config, files.config)
        weights = find_weights(files.weights)
        names = glyph_names(weights.keys)
        config.vocab_size = weights.shape(names["shared.weight"])[0] if "shared.weight" in names else 0
        if len(tokenizer) > config.vocab_size > 0:
            raise ValueError(
                f"{weights.name} knows {config.vocab_size} tokens, but {files.assets or files.tokenizer} "
                f"names {len(tokenizer)}"
            )
        self.model = build_encoder(lambda: T5EncoderModel(config), files.config)
        fill(self.model, weights, torch.float32, lambda _: device, names)
        self._tokenizer = tokenizer

    @property
    def width(self) -> int:
        return int(self.model.config.d_model)

    @torch.inference_mode()
    def encode(self, prompt: str, device: torch.device) -> Tensor | None:
        """Encode the quoted words: states [1, L, D] float32, all valid, L <= 256; None if there are none."""
        words = quoted_words(prompt)
        if not words:
            return None
        text = "".join(f'Text "{word}". ' for word in words)
        tokens = self._tokenizer(text, truncation=True, max_length=MAX_GLYPH_TOKENS, return_tensors="pt")
        return self.model(input_ids=tokens.input_ids.to(device)).last_hidden_state


class VisionEncoder:
    """SigLIP's vision tower."""

    def __init__(self, files: EncoderFiles, device: torch.device, dtype: torch.dtype) -> None:
        config = read_config(SiglipVisionConfig, files.model)
        weights = find_weights(files.model)
        self.model = build_encoder(lambda: SiglipVisionModel(config), files.model)
        names = vision_names(weights.keys, self.model.state_dict().keys())
        fill(self.model, weights, dtype, lambda _: device, names)
        _number_positions(self.model, device)
        self._processor = read_inputs(SiglipImageProcessorPil, files.inputs, VISION_INPUTS)
        self._check_processor(files.inputs / "preprocessor_config.json")

    @property
    def width(self) -> int:
        return int(self.model.config.hidden_size)

    def _check_processor(self, path: Path) -> None:
        side: Any = self.model.config.image_size
        what = "makes no pictures for the encoder"
        with blaming(path, what):
            got = tuple(self._process(Image.new("RGB", (side, side))).shape)
        if got != (1, 3, side, side):
            raise ValueError(f"{path} {what}, which takes {(1, 3, side, side)}, but {got}")

    def _process(self, image: Image.Image) -> Tensor:
        pixels: Tensor = self._processor(image, return_tensors="pt")["pixel_values"]
        return pixels

    @torch.inference_mode()
    def encode(self, image: Image.Image, device: torch.device) -> Tensor:
        """Encode an image: states [1, L, D]. It is first cut to the trained size of its aspect ratio."""
        pixels = self._process(siglip_crop(image))
        return self.model(pixel_values=pixels.to(device, self.model.dtype)).last_hidden_state


def quoted_words(prompt: str) -> list[str]:
    """Find the text in straight or curly double quotes, each once, in order."""
    found = (straight or curly for straight, curly in _QUOTED.findall(prompt))
    return list(dict.fromkeys(found))


def _number_positions(model: nn.Module, device: torch.device) -> None:
    """Make the tables that are not parameters, so that `fill` leaves them empty."""
    for module in model.modules():
        if isinstance(module, SiglipVisionEmbeddings):
            positions = torch.arange(module.num_positions, device=device)[None]
            module.register_buffer("position_ids", positions, persistent=False)
