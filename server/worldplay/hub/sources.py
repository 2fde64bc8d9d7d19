"""Lists what a released model is downloaded from: repositories, their files, and the target folders."""

from dataclasses import dataclass

from worldplay.world.released.files import ACTION_MODELS, DIFFUSERS, ORIGINAL, Layout
from worldplay.world.released.variants import Variant

_WEIGHTS_AND_SETTINGS = ("*.safetensors", "*.json", "*.jinja", "*.txt")  # no pickles
_COMMUNITY = "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-480p_i2v"


@dataclass(frozen=True, slots=True)
class Source:
    """Some files of a repository, and the folder for them in the weights folder."""

    repository: str
    patterns: tuple[str, ...]
    folder: str


def check_layout(name: str) -> Layout:
    """Check a layout's name. Raises: ValueError naming the known layouts."""
    if name == "original":
        return "original"
    if name == "diffusers":
        return "diffusers"
    raise ValueError(f"unknown layout {name!r}; expected one of diffusers, original")


def list_sources(variant: Variant, layout: Layout) -> list[Source]:
    """List everything that a variant needs."""
    action = Source("tencent/HY-WorldPlay", _within(variant.folder), ACTION_MODELS)
    glyph = _within("text_encoder_2", "tokenizer_2")  # the original is a pickle; same weights
    if layout == "diffusers":
        parts = _within("vae", "text_encoder", "tokenizer", "image_encoder", "feature_extractor")
        return [action, Source(_COMMUNITY, (*parts, *glyph), DIFFUSERS)]
    return [
        action,
        Source("tencent/HunyuanVideo-1.5", _within("vae"), ORIGINAL),
        Source("Qwen/Qwen2.5-VL-7B-Instruct", _WEIGHTS_AND_SETTINGS, f"{ORIGINAL}/text_encoder/llm"),
        Source(_COMMUNITY, glyph, ORIGINAL),
        Source(
            "black-forest-labs/FLUX.1-Redux-dev",
            _within("image_encoder", "feature_extractor"),
            f"{ORIGINAL}/vision_encoder/siglip",
        ),
    ]


def _within(*folders: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{pattern}" for folder in folders for pattern in _WEIGHTS_AND_SETTINGS)
