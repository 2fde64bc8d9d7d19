"""The files of the released model's encoders: which there are, and what their tensors are called."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from worldplay.world.model_files import read_json

# A tokenizer or image processor is made from one of several sets of files; all others are optional.
FileSets = Sequence[Sequence[str]]
PROMPT_INPUTS: FileSets = (("tokenizer.json",), ("vocab.json", "merges.txt", "tokenizer_config.json"))
GLYPH_INPUTS: FileSets = (("tokenizer_config.json",),)
VISION_INPUTS: FileSets = (("preprocessor_config.json",),)

_GLYPH_PREFIX = "module.text_tower.encoder."  # of the published byt5_model


def find_inputs(folder: Path, file_sets: FileSets) -> str:
    """The first file of the set that a folder holds. Without any the library would quietly make an empty one.

    Raises: OSError or ValueError naming a file that is missing, or that is no JSON.
    """
    missing = [[name for name in names if not (folder / name).is_file()] for names in file_sets]
    if all(missing):
        begun = [names for names, wanted in zip(missing, file_sets, strict=True) if names[0] != wanted[0]]
        raise OSError(f"{folder / (begun or missing)[0][0]} is missing")
    for path in sorted(folder.glob("*.json")):
        read_json(path)
    return file_sets[missing.index([])][0]


def read_style_tokens(assets: Path) -> list[str]:
    """The tokens of colours and fonts, in the order the encoder of quoted words learned them."""
    colours = read_json(assets / "color_idx.json")
    fonts = read_json(assets / "multilingual_10-lang_idx.json")
    return [f"<color-{index}>" for index in range(len(colours))] + [
        f"<{code[:2]}-font-{index}>" for code, index in fonts.items()
    ]


def language_names(keys: Iterable[str]) -> dict[str, str]:
    """Stored keys by parameter of the language model, stored alone or with the rest of Qwen2.5-VL."""
    unused = ("visual.", "model.visual.", "lm_head.")
    return {
        key.removeprefix("model.").removeprefix("language_model."): key
        for key in keys
        if not key.startswith(unused)
    }


def glyph_names(keys: Iterable[str]) -> dict[str, str]:
    """Stored keys by parameter of T5EncoderModel, stored as such or as published for Glyph."""
    names = {"encoder." + key.removeprefix(_GLYPH_PREFIX).removeprefix("encoder."): key for key in keys}
    for tied in ("encoder.shared.weight", "encoder.embed_tokens.weight"):
        if tied in names:
            key = names.pop(tied)
            names |= {"shared.weight": key, "encoder.embed_tokens.weight": key}
    return names


def vision_names(keys: Iterable[str], wanted: Collection[str]) -> dict[str, str]:
    """Stored keys by `wanted` parameter of SigLIP: library versions differ in whether they have a prefix."""
    prefix = "vision_model."
    has_prefix = any(name.startswith(prefix) for name in wanted)
    return {(prefix if has_prefix else "") + key.removeprefix(prefix): key for key in keys}
