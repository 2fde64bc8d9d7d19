"""The files of the released model's encoders, and the names of their tensors."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from worldplay.world.model_files import read_json

# A tokenizer or image processor needs one of several sets of files; all other files are optional.
FileSets = Sequence[Sequence[str]]
PROMPT_INPUTS: FileSets = (("tokenizer.json",), ("vocab.json", "merges.txt", "tokenizer_config.json"))
GLYPH_INPUTS: FileSets = (("tokenizer_config.json",),)
VISION_INPUTS: FileSets = (("preprocessor_config.json",),)

_GLYPH_PREFIX = "module.text_tower.encoder."  # of the published byt5_model


def find_inputs(folder: Path, file_sets: FileSets) -> str:
    """Find a complete set of files in a folder. Without one the library would make an empty tokenizer.

    Returns: the first file of the set.
    Raises: OSError or ValueError naming a file that is missing, or that is not JSON.
    """
    missing = [[name for name in names if not (folder / name).is_file()] for names in file_sets]
    if all(missing):
        begun = [names for names, wanted in zip(missing, file_sets, strict=True) if names[0] != wanted[0]]
        raise OSError(f"{folder / (begun or missing)[0][0]} is missing")
    for path in sorted(folder.glob("*.json")):
        read_json(path)
    return file_sets[missing.index([])][0]


def read_style_tokens(assets: Path) -> list[str]:
    """Read the tokens of colours and fonts, in the order in which the glyph encoder learned them."""
    colours = read_json(assets / "color_idx.json")
    fonts = read_json(assets / "multilingual_10-lang_idx.json")
    return [f"<color-{index}>" for index in range(len(colours))] + [
        f"<{code[:2]}-font-{index}>" for code, index in fonts.items()
    ]


def language_names(keys: Iterable[str]) -> dict[str, str]:
    """Map parameters of the language model to stored keys, stored alone or with the rest of Qwen2.5-VL."""
    unused = ("visual.", "model.visual.", "lm_head.")
    return {
        key.removeprefix("model.").removeprefix("language_model."): key
        for key in keys
        if not key.startswith(unused)
    }


def glyph_names(keys: Iterable[str]) -> dict[str, str]:
    """Map parameters of T5EncoderModel to stored keys, stored as such or as published for Glyph."""
    names = {"encoder." + key.removeprefix(_GLYPH_PREFIX).removeprefix("encoder."): key for key in keys}
    for tied in ("encoder.shared.weight", "encoder.embed_tokens.weight"):
        if tied in names:
            key = names.pop(tied)
            names |= {"shared.weight": key, "encoder.embed_tokens.weight": key}
    return names


def vision_names(keys: Iterable[str], wanted: Collection[str]) -> dict[str, str]:
    """Map the `wanted` parameters of SigLIP to stored keys. Some library versions add a prefix."""
    prefix = "vision_model."
    has_prefix = any(name.startswith(prefix) for name in wanted)
    return {(prefix if has_prefix else "") + key.removeprefix(prefix): key for key in keys}
