"""Loads a world from a directory: `world.json` beside one safetensors file per network."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from torch import nn

from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.world.conditioner import EmbeddedConditioner
from worldplay.world.context import NUM_POINTS, sample_points
from worldplay.world.courtyard.ground import WalkGround
from worldplay.world.courtyard.renderer import START_VIEWS, StartView, render
from worldplay.world.embedded.manifest import REMEDY, read_description
from worldplay.world.embedded.suggestions import COURT_SUGGESTIONS
from worldplay.world.embedded.text_encoder import MAX_STATES, TIED, TextConfig, TextReader, make_text_model
from worldplay.world.released.files import WEIGHTS_DIR, is_released
from worldplay.world.released.picture_size import SIZE
from worldplay.world.released.variants import DEFAULT_VARIANT, MODEL, VARIANTS, Variant
from worldplay.world.rollout import RolloutConfig, RolloutModel
from worldplay.world.walk import Ground
from worldplay.world.weights import Weights, build_empty, fill
from worldplay.world.world import View, World

EMBEDDED = Path(__file__).resolve().parents[2] / "weights" / "embedded"
POINTS_SEED = 0

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class ReleasedChoice:
    """What an operator decides about the released model; the embedded world has its own."""

    variant: Variant = VARIANTS[DEFAULT_VARIANT]
    size: tuple[int, int] = SIZE  # height, width
    weights_dir: Path = WEIGHTS_DIR  # where 'hy-worldplay' has been downloaded to
    sessions: int = 1  # visitors to keep GPU memory for, if there is so much
    clips: int = 0  # walks beside them to keep it for in any case


def load_world(model: str, device: str, choice: ReleasedChoice = ReleasedChoice()) -> World:
    """Load a world for inference.

    Args:
        model: 'embedded', 'hy-worldplay', or the path of a directory that holds either.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
    Raises: ValueError or OSError naming the file, what is wrong with it and the remedy.
    """
    place = choose_device(device)
    if is_released(model):
        return _load_released(choice.weights_dir if model == MODEL else Path(model), choice, place)
    return _load_embedded(find_embedded(model), place)


def find_embedded(model: str) -> Path:
    """Where a world is that is not the released model."""
    return EMBEDDED if model == "embedded" else Path(model)


def read_shape(directory: Path) -> tuple[str, int, int, int]:
    """Name, width, height and latents per chunk of a world that need not be loaded for it."""
    described = read_description(directory)
    return described.name, *described.size, described.rollout.chunk_latents


def _load_released(root: Path, choice: ReleasedChoice, device: torch.device) -> World:
    from worldplay.world.released.load import (  # its libraries take seconds to import
        free_bytes,
        load_released,
    )

    budget = free_bytes(device)
    return load_released(
        root, choice.variant, choice.size, device, budget, choice.sessions, clips=choice.clips
    )


def _load_embedded(directory: Path, place: torch.device) -> World:
    described = read_description(directory)
    config = described.transformer
    transformer = _load(lambda: WorldPlayTransformer(config), directory / "transformer.safetensors", place)
    vae = _load(lambda: StreamingVAE(described.vae), directory / "vae.safetensors", place)
    reader = _load_reader(directory, described.text)
    for network, digest in described.sha256.items():
        _check_digest(directory / f"{network}.safetensors", digest)
    lay_out_channels_last(vae)
    width, height = described.size
    return World(
        name=described.name,
        title=described.title,
        width=width,
        height=height,
        views=tuple(_court_view(view, height, width) for view in START_VIEWS),
        rollout=_prepare_rollout(transformer, vae, described.rollout, height, width),
        vae=vae,
        conditioner=EmbeddedConditioner(reader, config.byt5_dim),
        suggestions=COURT_SUGGESTIONS,
        own_pictures="nearest_view",
    )


def _load_reader(directory: Path, config: TextConfig) -> TextReader:
    """The prompt's encoder; in float32 everywhere, as it is tiny and read once a prompt."""
    path = directory / "text.safetensors"
    weights = Weights([_require(path)], REMEDY)
    model = build_empty(lambda: make_text_model(config))
    names = {key: key for key in weights.keys}
    names |= {tied: key for tied, key in TIED.items() if key in names}
    fill(model, weights, torch.float32, lambda _: torch.device("cpu"), names)
    _check_finite(model, path)
    return TextReader(model)


def lay_out_channels_last(module: nn.Module) -> None:
    """Spare a CPU's convolutions from reordering their weights at every call."""
    for parameter in module.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)


def _prepare_rollout(
    transformer: WorldPlayTransformer, vae: StreamingVAE, config: RolloutConfig, height: int, width: int
) -> RolloutModel:
    side = vae.config.pixels_per_latent
    rows, columns = height // side, width // side
    text_tokens = rows * columns + MAX_STATES  # of EmbeddedConditioner
    cache = transformer.new_cache((rows, columns), text_tokens, config.memory_latents)
    return RolloutModel(transformer, [cache], sample_points(NUM_POINTS, POINTS_SEED), config)


def make_view(view: StartView, height: int, width: int, make_ground: Callable[[], Ground]) -> View:
    """A start view of the courtyard, rendered."""
    picture = Image.fromarray(render(view.c2w[None], height, width)[0])
    preview = BytesIO()
    picture.save(preview, "JPEG", quality=90)
    return View(view.name, view.title, picture, preview.getvalue(), make_ground)


def _court_view(view: StartView, height: int, width: int) -> View:
    return make_view(view, height, width, lambda: WalkGround(view.c2w))


def choose_device(name: str) -> torch.device:
    """Resolve 'auto'. Raises: ValueError for a device that this machine does not have."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"expected a device like 'cpu', 'cuda' or 'cuda:0', got {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"expected a device like 'cpu', 'cuda' or 'cuda:0', got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"expected a device of this machine, got {name!r}; use --device cpu")
    return device


def choose_dtype(device: torch.device) -> torch.dtype:
    """bf16 wherever the hardware multiplies it; emulated, it would be slower than float32."""
    if device.type == "cuda" or torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


def _load(make: Callable[[], Module], path: Path, device: torch.device) -> Module:
    """Build a network and fill it strictly from a safetensors file."""
    module = build_empty(make)
    fill(module, Weights([_require(path)], REMEDY), choose_dtype(device), lambda _: device)
    _check_finite(module, path)
    return module


def _check_finite(module: nn.Module, path: Path) -> None:
    """Raises: ValueError if there are weights that would turn every picture into noise."""
    for name, weight in module.named_parameters():
        if not weight.isfinite().all():
            raise ValueError(f"{path} has numbers that are not finite in {name}; {REMEDY}")


def _check_digest(path: Path, expected: str) -> None:
    """Raises: ValueError if it is a file that loads, but another than the world was described with."""
    if sha256(path.read_bytes()).hexdigest() != expected:
        raise ValueError(f"{path} is damaged: its SHA-256 is not the one in world.json; {REMEDY}")


def _require(path: Path) -> Path:
    if not path.is_file():
        raise OSError(f"{path} is missing; {REMEDY}")
    return path
