"""`worldplay download`: fetches a released model after saying what that means, and checks the result."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worldplay.world.layouts import ACTION_MODELS, DIFFUSERS, ORIGINAL
from worldplay.world.variants import Variant
from worldplay.world.weights import Weights

Layout = Literal["diffusers", "original"]

TERMS = """\
These weights are not part of WorldPlay Live. By fetching them you agree with their publishers:
  tencent/HY-WorldPlay and HunyuanVideo-1.5 come under Tencent's community licences. These DO NOT APPLY in the
  European Union, the United Kingdom and South Korea: there you have no right to use the weights. They also
  have an acceptable-use policy.
  Qwen2.5-VL-7B and SigLIP come under Apache-2.0; FLUX.1-Redux-dev, which SigLIP is taken from in the
  original layout, has terms of its own.
Read them at https://huggingface.co/tencent/HY-WorldPlay and https://huggingface.co/tencent/HunyuanVideo-1.5
"""
QUESTION = "Do you accept these terms, and are you outside the EU, the UK and South Korea?"

_WEIGHTS_AND_SETTINGS = ("*.safetensors", "*.json", "*.jinja", "*.txt")  # no pickles
_COMMUNITY = "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-480p_i2v"


@dataclass(frozen=True, slots=True)
class Source:
    """Some files of a repository, and the folder below the weights that they go to."""

    repository: str
    patterns: tuple[str, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a source: its path in the folder, its bytes, and whether it is already there."""

    name: str
    size: int
    present: bool


# Lists a source's files for a target folder; if not only asked to preview, fetches what is not there yet.
Hub = Callable[[Source, Path, bool], list[HubFile]]


def check_layout(name: str) -> Layout:
    """Raises: ValueError naming the layouts there are."""
    if name == "original":
        return "original"
    if name == "diffusers":
        return "diffusers"
    raise ValueError(f"expected a layout out of diffusers, original, got {name!r}")


def list_sources(variant: Variant, layout: Layout) -> list[Source]:
    """Everything that a variant needs."""
    action = Source("tencent/HY-WorldPlay", _within(variant.folder), ACTION_MODELS)
    glyph = _within("text_encoder_2", "tokenizer_2")  # the original is a pickle; these are the same weights
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


def download(
    variant: Variant, layout: Layout, weights_dir: Path, agree: Callable[[str], bool], hub: Hub
) -> None:
    """Fetch a variant.

    Args:
        agree: asks a question.
    Raises: OSError saying what keeps it from being fetched, and what to do; ValueError for a damaged file.
    """
    sources = list_sources(variant, layout)
    wanted = {source: _reach(hub, source, weights_dir, True) for source in sources}
    missing = sum(file.size for files in wanted.values() for file in files if not file.present)
    _explain(wanted, weights_dir, missing)
    _check_disk(weights_dir, missing)
    if missing and not agree(QUESTION):
        raise OSError("nothing was fetched: the terms were not accepted")
    for source in sources:
        verify(_reach(hub, source, weights_dir, False), weights_dir / source.folder)
    sys.stdout.write(f"\nComplete: {variant.name} in {weights_dir}\n")


def _reach(hub: Hub, source: Source, weights_dir: Path, preview: bool) -> list[HubFile]:
    files = hub(source, weights_dir / source.folder, preview)
    if not files:
        raise OSError(
            f"{source.repository} has none of {', '.join(source.patterns)}; has it been rearranged?"
        )
    return files


def _explain(wanted: dict[Source, list[HubFile]], weights_dir: Path, missing: int) -> None:
    write = sys.stdout.write
    write(f"To fetch into {weights_dir}:\n")
    for source, files in wanted.items():
        size, left = sum(file.size for file in files), sum(file.size for file in files if not file.present)
        state = "present" if left == 0 else f"{left / 1e9:.1f} GB to fetch"
        write(f"  {source.repository:58} {len(files):3} files {size / 1e9:6.1f} GB  {state}\n")
    write(f"Disk needed: {missing / 1e9:.1f} GB\n\n{TERMS}\n")


def _check_disk(weights_dir: Path, missing: int) -> None:
    existing = next(folder for folder in (weights_dir, *weights_dir.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    if missing > free:
        raise OSError(
            f"{missing / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free at {existing}; "
            "make room, or choose another disk with --weights-dir"
        )


def verify(files: list[HubFile], folder: Path) -> None:
    """Check that every file is there in its published size, and that the weights can be opened.

    Raises: ValueError naming the first file that is not whole.
    """
    remedy = "delete it and run the command again"
    for file in files:
        path = folder / file.name
        size = path.stat().st_size if path.is_file() else 0
        if size != file.size:
            raise ValueError(f"{path} has {size} bytes instead of {file.size}; {remedy}")
        if path.suffix == ".safetensors":
            Weights([path], remedy)


def reach_hugging_face(source: Source, target: Path, preview: bool) -> list[HubFile]:
    """The real hub. What was fetched before an interruption is kept.

    Raises: OSError saying why a repository cannot be reached, and what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    patterns = list(source.patterns)
    try:
        if not preview:
            snapshot_download(source.repository, local_dir=target, allow_patterns=patterns)
        listed = snapshot_download(source.repository, local_dir=target, allow_patterns=patterns, dry_run=True)
    except (OSError, HfHubHTTPError) as error:
        page = f"https://huggingface.co/{source.repository}"
        if isinstance(error, GatedRepoError) or isinstance(error.__cause__, GatedRepoError):
            raise OSError(
                f"{source.repository} is gated: accept its terms at {page}, log in with `hf auth login` and "
                "run the command again, or take --layout diffusers"
            ) from None
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise OSError(
            f"{page} could not be reached ({reason}); what was fetched is kept, run the command again"
        ) from None
    return [HubFile(file.filename, file.file_size or 0, not file.will_download) for file in listed]
