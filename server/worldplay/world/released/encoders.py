"""The released model's encoders: language model, quoted words, picture (docs/worldplay-model.md 14)."""

import re
from collections.abc import Iterable, Iterator
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
from worldplay.world.released.encoder_files import blaming, build_encoder, read_config, read_inputs, read_json
from worldplay.world.released.files import EncoderFiles, GlyphFiles
from worldplay.world.weights import fill, find_weights

MAX_PROMPT_TOKENS = 1000  # the closing chat tokens included
MAX_GLYPH_TOKENS = 256
_HIDDEN_LAYER = -3  # two layers before the last, not normalised

# The runs of nine spaces are part of it.
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
_PUBLISHED_VOCABULARY = 151_643  # tokens of Qwen2.5, those of chats not counted
_PUBLISHED_CROP = 108  # tokens before the prompt (docs/worldplay-model.md 14)
_QWEN_TOKENIZER = (("tokenizer.json",), ("vocab.json", "merges.txt", "tokenizer_config.json"))

_QUOTED = re.compile(r'"(.*?)"|“(.*?)”')
_GLYPH_PREFIX = "module.text_tower.encoder."  # of the published byt5_model


class PromptEncoder:
    """Qwen2.5-VL's language part."""

    def __init__(self, files: EncoderFiles, device: torch.device, dtype: torch.dtype, remedy: str) -> None:
        config = read_config(Qwen2_5_VLTextConfig, files.model, remedy)
        weights = find_weights(files.model, remedy)
        self.model = build_encoder(lambda: Qwen2_5_VLTextModel(config), files.model, remedy)
        fill(self.model, weights, dtype, lambda _: device, dict(_language_names(weights.keys)))
        # Its table is no parameter and would stay empty.
        rotary: Any = type(self.model.rotary_emb)
        self.model.rotary_emb = rotary(config).to(device)
        self._tokenizer = read_inputs(Qwen2Tokenizer, files.inputs, _QWEN_TOKENIZER, remedy)
        self._crop = self._count_tokens(_BEFORE_PROMPT)
        self._check_tokenizer(files.inputs, remedy)

    @property
    def width(self) -> int:
        return int(self.model.config.hidden_size)

    def _count_tokens(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _check_tokenizer(self, folder: Path, remedy: str) -> None:
        """Without some of its files it would spell out what should be one token, and go on."""
        for mark in ("<|im_start|>", "<|im_end|>"):
            if (count := self._count_tokens(mark)) != 1:
                raise ValueError(f"{folder} makes {count} tokens of {mark} instead of one; {remedy}")
        if len(self._tokenizer) >= _PUBLISHED_VOCABULARY and self._crop != _PUBLISHED_CROP:
            raise ValueError(
                f"{folder} makes {self._crop} tokens of the frame around a prompt instead of "
                f"{_PUBLISHED_CROP}; {remedy}"
            )

    @torch.inference_mode()
    def encode(self, prompt: str, device: torch.device) -> Tensor:
        """States [1, L, D] of the prompt in its chat frame, all valid; L is at most 1000."""
        text = _BEFORE_PROMPT + (prompt or " ") + _AFTER_PROMPT
        # Without padding: later tokens never reach earlier ones, and the padded ones are dropped anyway.
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
    """ByT5 as Glyph trained it: how quoted words are spelt."""

    def __init__(self, files: GlyphFiles, device: torch.device, remedy: str) -> None:
        tokenizer = read_inputs(ByT5Tokenizer, files.tokenizer, (("tokenizer_config.json",),), remedy)
        if files.assets is not None:
            tokenizer.add_tokens(_style_tokens(files.assets, remedy), special_tokens=True)
        config = read_config(T5Config, files.config, remedy)
        weights = find_weights(files.weights, remedy)
        names = dict(_glyph_names(weights.keys))
        config.vocab_size = weights.shape(names["shared.weight"])[0] if "shared.weight" in names else 0
        if len(tokenizer) > config.vocab_size > 0:
            raise ValueError(
                f"{weights.name} knows {config.vocab_size} tokens, but {files.assets or files.tokenizer} "
                f"names {len(tokenizer)}; {remedy}"
            )
        self.model = build_encoder(lambda: T5EncoderModel(config), files.config, remedy)
        fill(self.model, weights, torch.float32, lambda _: device, names)
        self._tokenizer = tokenizer

    @property
    def width(self) -> int:
        return int(self.model.config.d_model)

    @torch.inference_mode()
    def encode(self, prompt: str, device: torch.device) -> Tensor | None:
        """States [1, L, D] float32 of the quoted words, all valid; L is at most 256. None without any."""
        words = quoted_words(prompt)
        if not words:
            return None
        text = "".join(f'Text "{word}". ' for word in words)
        tokens = self._tokenizer(text, truncation=True, max_length=MAX_GLYPH_TOKENS, return_tensors="pt")
        return self.model(input_ids=tokens.input_ids.to(device)).last_hidden_state


class VisionEncoder:
    """SigLIP's picture tower."""

    def __init__(self, files: EncoderFiles, device: torch.device, dtype: torch.dtype, remedy: str) -> None:
        config = read_config(SiglipVisionConfig, files.model, remedy)
        weights = find_weights(files.model, remedy)
        self.model = build_encoder(lambda: SiglipVisionModel(config), files.model, remedy)
        names = _match_prefix(weights.keys, self.model.state_dict().keys(), "vision_model.")
        fill(self.model, weights, dtype, lambda _: device, dict(names))
        _number_positions(self.model, device)
        self._processor = read_inputs(
            SiglipImageProcessorPil, files.inputs, (("preprocessor_config.json",),), remedy
        )
        self._check_processor(files.inputs / "preprocessor_config.json", remedy)

    @property
    def width(self) -> int:
        return int(self.model.config.hidden_size)

    def _check_processor(self, path: Path, remedy: str) -> None:
        side: Any = self.model.config.image_size
        what = "makes no pictures for the encoder"
        with blaming(path, what, remedy):
            got = tuple(self._process(Image.new("RGB", (side, side))).shape)
        if got != (1, 3, side, side):
            raise ValueError(f"{path} {what}, which takes {(1, 3, side, side)}, but {got}; {remedy}")

    def _process(self, image: Image.Image) -> Tensor:
        pixels: Tensor = self._processor(image, return_tensors="pt")["pixel_values"]
        return pixels

    @torch.inference_mode()
    def encode(self, image: Image.Image, device: torch.device) -> Tensor:
        """States [1, L, D] of an image; it is cut to the trained size of its own shape first."""
        pixels = self._process(siglip_crop(image))
        return self.model(pixel_values=pixels.to(device, self.model.dtype)).last_hidden_state


def quoted_words(prompt: str) -> list[str]:
    """What stands in straight or curly double quotes, each once, in order."""
    found = (straight or curly for straight, curly in _QUOTED.findall(prompt))
    return list(dict.fromkeys(found))


def _language_names(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Parameters of the language model, whether it is stored alone or with the rest of Qwen2.5-VL."""
    for key in keys:
        if key.startswith(("visual.", "model.visual.", "lm_head.")):
            continue
        yield key.removeprefix("model.").removeprefix("language_model."), key


def _glyph_names(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """T5EncoderModel's parameters, whether stored as such or as published for Glyph."""
    for key in keys:
        name = "encoder." + key.removeprefix(_GLYPH_PREFIX).removeprefix("encoder.")
        if name in ("encoder.shared.weight", "encoder.embed_tokens.weight"):
            yield "shared.weight", key
            yield "encoder.embed_tokens.weight", key
        else:
            yield name, key


def _match_prefix(keys: Iterable[str], wanted: Iterable[str], prefix: str) -> Iterator[tuple[str, str]]:
    """Stored keys under the names that the library's version gives them: with the prefix, or without."""
    has_prefix = any(name.startswith(prefix) for name in wanted)
    for key in keys:
        bare = key.removeprefix(prefix)
        yield (prefix + bare if has_prefix else bare), key


def _number_positions(model: nn.Module, device: torch.device) -> None:
    """Make the tables that are no parameters and would stay empty."""
    for module in model.modules():
        if isinstance(module, SiglipVisionEmbeddings):
            positions = torch.arange(module.num_positions, device=device)[None]
            module.register_buffer("position_ids", positions, persistent=False)


def _style_tokens(assets: Path, remedy: str) -> list[str]:
    """The tokens of colours and fonts, in the order the encoder learned them."""
    colours = read_json(assets / "color_idx.json", remedy)
    fonts = read_json(assets / "multilingual_10-lang_idx.json", remedy)
    return [f"<color-{index}>" for index in range(len(colours))] + [
        f"<{code[:2]}-font-{index}>" for code, index in fonts.items()
    ]
