"""Finds the released model's files: in the original layout, the diffusers layout, or a mixture."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worldplay.world.released.variants import MODEL, VARIANTS, Variant

WEIGHTS_DIR = Path.home() / ".cache" / "worldplay"

# Folders that `worldplay download` makes, named after the repositories.
ACTION_MODELS = "HY-WorldPlay"
ORIGINAL = "HunyuanVideo-1.5"
DIFFUSERS = "HunyuanVideo-1.5-Diffusers-480p_i2v"

Layout = Literal["diffusers", "original"]
DEFAULT_LAYOUT: Layout = "diffusers"


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """The folder of an encoder's weights and configuration, and that of its tokenizer or processor."""

    model: Path
    inputs: Path


@dataclass(frozen=True, slots=True)
class GlyphFiles:
    """The encoder of quoted words, which was published in pieces."""

    weights: Path
    config: Path
    tokenizer: Path
    assets: Path | None  # colours and fonts, if the tokenizer does not have them yet


@dataclass(frozen=True, slots=True)
class ReleasedFiles:
    """All parts of one variant."""

    transformer: Path
    vae: Path
    text: EncoderFiles
    glyph: GlyphFiles
    vision: EncoderFiles


def is_released(model: str) -> bool:
    """Return whether this names the released model, or a directory that holds it."""
    directory = Path(model)
    holds_embedded = (directory / "world.json").is_file()
    return model == MODEL or (directory.is_dir() and not holds_embedded and _holds_released(directory))


def find_root(model: str, weights_dir: Path) -> Path:
    """Return the folder of a released model's files."""
    return weights_dir if model == MODEL else Path(model)


def _holds_released(root: Path) -> bool:
    folders = (ACTION_MODELS, ORIGINAL, DIFFUSERS, *(variant.folder for variant in VARIANTS.values()))
    return any((root / folder).is_dir() for folder in folders)


def find_layout(root: Path) -> Layout:
    """Return the layout that is looked at first below `root`, and that a download there should have."""
    return "original" if (root / ORIGINAL).is_dir() else DEFAULT_LAYOUT


def suggest_download(variant: Variant, root: Path) -> str:
    """Say what to do about a missing or damaged file below `root`.

    The command has the layout that the loader prefers there; files of the other might be ignored.
    """
    return suggest_layout(variant, find_layout(root), root)


def suggest_layout(variant: Variant, layout: Layout, root: Path) -> str:
    """Return the command that downloads a layout, with all options that are not defaults."""
    words = ["worldplay", "download", "--variant", variant.name]
    if layout != DEFAULT_LAYOUT:
        words += ["--layout", layout]
    if root.absolute() != WEIGHTS_DIR:
        words += ["--weights-dir", str(root.absolute())]
    return f"run `{shlex.join(words)}`"


def locate(root: Path, variant: Variant) -> ReleasedFiles:
    """Find every part of a variant below `root`, or in `root` itself.

    Raises: OSError naming the first part that is missing, and where it was expected.
    """
    folders = (ORIGINAL, DIFFUSERS) if find_layout(root) == "original" else (DIFFUSERS, ORIGINAL)
    bases = [root / folder for folder in folders] + [root]
    search = _Search(root)
    return ReleasedFiles(
        transformer=search.first([root / ACTION_MODELS / variant.folder, root / variant.folder]),
        vae=search.first([base / "vae" for base in bases]),
        text=_locate_text(bases, search),
        glyph=_locate_glyph(bases, search),
        vision=_locate_vision(bases, search),
    )


@dataclass(frozen=True, slots=True)
class _Search:
    """Looks for folders below a root."""

    root: Path

    def first(self, folders: list[Path], marker: str = "") -> Path:
        """Return the first folder that exists. `worldplay download` would make folders[0].

        Raises: OSError if none exists.
        """
        for folder in folders:
            if (folder / marker).exists():
                return folder
        made, *others = (folder / marker for folder in folders)
        names = ", ".join(str(path.relative_to(self.root)) for path in others)
        raise OSError(f"{made} is missing ({self.root} has none of these instead: {names})")


def _locate_text(bases: list[Path], search: _Search) -> EncoderFiles:
    whole = "text_encoder/llm"  # Qwen2.5-VL with its vision tower
    model = search.first(_either(bases, whole, "text_encoder"), marker="config.json")
    return EncoderFiles(model, model if model.name == "llm" else model.parent / "tokenizer")


def _locate_glyph(bases: list[Path], search: _Search) -> GlyphFiles:
    joined = [base / "text_encoder_2" for base in bases]
    pieces = [base / "text_encoder" / "Glyph-SDXL-v2" for base in bases]
    found = search.first([*joined, *pieces])
    if found in joined:
        return GlyphFiles(found, found, found.parent / "tokenizer_2", None)
    byt5 = found.parent / "byt5-small"
    return GlyphFiles(found / "checkpoints", byt5, byt5, found / "assets")


def _locate_vision(bases: list[Path], search: _Search) -> EncoderFiles:
    model = search.first(_either(bases, "vision_encoder/siglip/image_encoder", "image_encoder"))
    return EncoderFiles(model, model.parent / "feature_extractor")


def _either(bases: list[Path], original: str, diffusers: str) -> list[Path]:
    """List the folders of a part in both layouts: base by base, the base's own layout first."""
    places = []
    for base in bases:
        order = (diffusers, original) if base.name == DIFFUSERS else (original, diffusers)
        places += [base / place for place in order]
    return places
