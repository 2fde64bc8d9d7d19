"""Where the released model's parts lie on disk: the original layout, the diffusers layout, or a mixture."""

from dataclasses import dataclass
from pathlib import Path

from worldplay.world.variants import VARIANTS

WEIGHTS_DIR = Path.home() / ".cache" / "worldplay"

# Folders that `worldplay download` makes, named after the repositories.
ACTION_MODELS = "HY-WorldPlay"
ORIGINAL = "HunyuanVideo-1.5"
DIFFUSERS = "HunyuanVideo-1.5-Diffusers-480p_i2v"


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
    assets: Path | None  # colours and fonts, where the tokenizer does not know them yet


@dataclass(frozen=True, slots=True)
class ReleasedFiles:
    """All parts of one variant."""

    transformer: Path
    vae: Path
    text: EncoderFiles
    glyph: GlyphFiles
    vision: EncoderFiles


def holds_released(root: Path) -> bool:
    """Whether a directory looks like one with released models in it."""
    folders = (ACTION_MODELS, ORIGINAL, DIFFUSERS, *(variant.folder for variant in VARIANTS.values()))
    return any((root / folder).is_dir() for folder in folders)


def locate(root: Path, variant_folder: str, remedy: str) -> ReleasedFiles:
    """Find every part below `root`, or in `root` itself.

    Raises: OSError naming the first part that is nowhere, where it was expected, and the remedy.
    """
    bases = [root / ORIGINAL, root / DIFFUSERS, root]
    return ReleasedFiles(
        transformer=_first([root / ACTION_MODELS / variant_folder, root / variant_folder], remedy),
        vae=_first([base / "vae" for base in bases], remedy),
        text=_locate_text(bases, remedy),
        glyph=_locate_glyph(bases, remedy),
        vision=_locate_vision(bases, remedy),
    )


def _locate_text(bases: list[Path], remedy: str) -> EncoderFiles:
    whole = [base / "text_encoder" / "llm" for base in bases]  # Qwen2.5-VL with its vision tower
    cut = [base / "text_encoder" for base in bases]
    model = _first([*whole, *cut], remedy, marker="config.json")
    return EncoderFiles(model, model if model in whole else model.parent / "tokenizer")


def _locate_glyph(bases: list[Path], remedy: str) -> GlyphFiles:
    joined = [base / "text_encoder_2" for base in bases]
    pieces = [base / "text_encoder" / "Glyph-SDXL-v2" for base in bases]
    found = _first([*joined, *pieces], remedy)
    if found in joined:
        return GlyphFiles(found, found, found.parent / "tokenizer_2", None)
    byt5 = found.parent / "byt5-small"
    return GlyphFiles(found / "checkpoints", byt5, byt5, found / "assets")


def _locate_vision(bases: list[Path], remedy: str) -> EncoderFiles:
    folders = [base / "vision_encoder" / "siglip" for base in bases] + bases
    model = _first([folder / "image_encoder" for folder in folders], remedy)
    return EncoderFiles(model, model.parent / "feature_extractor")


def _first(folders: list[Path], remedy: str, marker: str = "") -> Path:
    for folder in folders:
        if (folder / marker).exists():
            return folder
    tried = " or ".join(str(folder / marker) for folder in folders)
    raise OSError(f"expected {tried}, found none of them; {remedy}")
