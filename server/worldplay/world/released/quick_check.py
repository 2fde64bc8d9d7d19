"""Checks a released model's files quickly, without torch and transformers.

Loading, and `worldplay doctor --check`, find more: encoders whose tensors do not fit their configuration,
and tokenizers and processors that do not work.
"""

from collections.abc import Mapping
from pathlib import Path

from worldplay.model.config import TransformerConfig
from worldplay.model.parameters import transformer_parameters, vae_parameters
from worldplay.model.vae_keys import match_keys
from worldplay.world.model_files import read_json, suggesting
from worldplay.world.released.encoder_files import (
    GLYPH_INPUTS,
    PROMPT_INPUTS,
    VISION_INPUTS,
    find_inputs,
    glyph_names,
    language_names,
    read_style_tokens,
    vision_names,
)
from worldplay.world.released.files import ReleasedFiles, locate, suggest_download
from worldplay.world.released.memory_estimate import RELEASED, Shapes
from worldplay.world.released.variants import Variant
from worldplay.world.weight_files import Weights, check_dtypes, check_tensors, find_weights

_PATCHES = "vision_model.embeddings.patch_embedding.weight"


def check_files(root: Path, variant: Variant, shapes: Shapes = RELEASED) -> None:
    """Check a variant's small files, and the headers of its weights.

    Raises: ValueError or OSError as `load_released`.
    """
    with suggesting(suggest_download(variant, root)):
        files = locate(root, variant)
        transformer = find_weights(files.transformer)
        check_tensors(
            transformer, transformer_parameters(shapes.transformer), {key: key for key in transformer.keys}
        )
        vae, parameters = find_weights(files.vae), vae_parameters(shapes.vae)
        check_tensors(vae, parameters, match_keys(vae.keys, parameters))
        _check_encoders(files, shapes.transformer)


def _check_encoders(files: ReleasedFiles, config: TransformerConfig) -> None:
    read_json(files.text.model / "config.json")
    text = find_weights(files.text.model)
    _check_width(text, language_names(text.keys), "embed_tokens.weight", 1, config.text_dim)
    find_inputs(files.text.inputs, PROMPT_INPUTS)
    find_inputs(files.glyph.tokenizer, GLYPH_INPUTS)
    if files.glyph.assets is not None:
        read_style_tokens(files.glyph.assets)
    read_json(files.glyph.config / "config.json")
    glyph = find_weights(files.glyph.weights)
    _check_width(glyph, glyph_names(glyph.keys), "shared.weight", 1, config.byt5_dim)
    read_json(files.vision.model / "config.json")
    vision = find_weights(files.vision.model)
    _check_width(vision, vision_names(vision.keys, [_PATCHES]), _PATCHES, 0, config.vision_dim)
    find_inputs(files.vision.inputs, VISION_INPUTS)


def _check_width(weights: Weights, names: Mapping[str, str], name: str, axis: int, expected: int) -> None:
    """Check an encoder's dtypes, and its width by the shape of one parameter."""
    if name not in names:
        raise ValueError(f"{weights.name} lacks {name}")
    check_dtypes(weights, names.values())
    width = weights.shape(names[name])[axis]
    if width != expected:
        raise ValueError(f"{weights.name} holds an encoder of width {width}, expected {expected}")
