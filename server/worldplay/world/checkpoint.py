"""Loads a world from a directory: `world.json` beside one safetensors file per network."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import nn

from worldplay.model.transformer import TransformerConfig, WorldPlayTransformer
from worldplay.model.vae import StreamingVAE, VAEConfig
from worldplay.world.conditioning import EmbeddedConditioner
from worldplay.world.court import START_VIEWS, StartView, render
from worldplay.world.court_ground import WalkGround
from worldplay.world.court_text import MAX_WORDS, TIED, TextConfig, TextReader, make_text_model
from worldplay.world.layouts import WEIGHTS_DIR, holds_released
from worldplay.world.memory import NUM_POINTS, sample_points
from worldplay.world.rollout import RolloutConfig, RolloutModel
from worldplay.world.suggestions import COURT_SUGGESTIONS
from worldplay.world.variants import DEFAULT_VARIANT, MODEL, SIZE, VARIANTS, Variant
from worldplay.world.walk import Ground
from worldplay.world.weights import Weights, build_empty, fill
from worldplay.world.world import View, World

EMBEDDED = Path(__file__).resolve().parents[1] / "weights" / "embedded"
POINTS_SEED = 0
REMEDY = "restore it from the release"

Module = TypeVar("Module", bound=nn.Module)
Config = TypeVar("Config")


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


def is_released(model: str) -> bool:
    """Whether this names the released model, or a directory that holds it."""
    directory = Path(model)
    holds_embedded = (directory / "world.json").is_file()
    return model == MODEL or (directory.is_dir() and not holds_embedded and holds_released(directory))


def find_embedded(model: str) -> Path:
    """Where a world is that is not the released model."""
    return EMBEDDED if model == "embedded" else Path(model)


def read_shape(directory: Path) -> tuple[str, int, int, int]:
    """Name, width, height and latents per chunk of a world that need not be loaded for it."""
    description = _read_description(directory)
    width, height = description["size"]
    return description["name"], width, height, _build(RolloutConfig, description["rollout"]).chunk_latents


def _load_released(root: Path, choice: ReleasedChoice, device: torch.device) -> World:
    from worldplay.world.released import free_bytes, load_released  # its libraries take seconds to import

    budget = free_bytes(device)
    return load_released(
        root, choice.variant, choice.size, device, budget, choice.sessions, clips=choice.clips
    )


def _load_embedded(directory: Path, place: torch.device) -> World:
    description = _read_description(directory)
    config = _build(TransformerConfig, description["transformer"])
    transformer = _load(lambda: WorldPlayTransformer(config), directory / "transformer.safetensors", place)
    vae_config = _build(VAEConfig, description["vae"])
    vae = _load(lambda: StreamingVAE(vae_config), directory / "vae.safetensors", place)
    lay_out_channels_last(vae)
    width, height = description["size"]
    return World(
        name=description["name"],
        title=description["title"],
        width=width,
        height=height,
        views=tuple(_court_view(view, height, width) for view in START_VIEWS),
        rollout=_prepare_rollout(transformer, vae, description, height, width),
        vae=vae,
        conditioner=EmbeddedConditioner(_load_reader(directory, description), config.byt5_dim),
        suggestions=COURT_SUGGESTIONS,
        own_pictures="nearest_view",
    )


def _load_reader(directory: Path, description: dict[str, Any]) -> TextReader:
    """The prompt's encoder; in float32 everywhere, as it is tiny and read once a prompt."""
    config = _build(TextConfig, description["text"])
    weights = Weights([_require(directory / "text.safetensors")], REMEDY)
    model = build_empty(lambda: make_text_model(config))
    names = {name: TIED.get(name, name) for name in model.state_dict()}
    fill(model, weights, torch.float32, lambda _: torch.device("cpu"), names)
    return TextReader(model)


def lay_out_channels_last(module: nn.Module) -> None:
    """Spare a CPU's convolutions from reordering their weights at every call."""
    for parameter in module.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)


def _prepare_rollout(
    transformer: WorldPlayTransformer, vae: StreamingVAE, description: dict[str, Any], height: int, width: int
) -> RolloutModel:
    config = _build(RolloutConfig, description["rollout"])
    side = vae.config.pixels_per_latent
    rows, columns = height // side, width // side
    text_tokens = rows * columns + MAX_WORDS  # of EmbeddedConditioner
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


def _read_description(directory: Path) -> dict[str, Any]:
    path = directory / "world.json"
    if not path.is_file():
        raise OSError(f"{path} is missing: expected 'embedded', '{MODEL}' or a directory with a world in it")
    try:
        description: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); restore it from the release") from None
    missing = {"name", "title", "size", "transformer", "vae", "text", "rollout"} - description.keys()
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; restore it from the release")
    return description


def _build(cls: type[Config], fields: dict[str, Any]) -> Config:
    """Make a config dataclass from its JSON, in which tuples are lists."""
    try:
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"world.json does not describe a {cls.__name__}: {error}") from None


def _load(make: Callable[[], Module], path: Path, device: torch.device) -> Module:
    """Build a network and fill it strictly from a safetensors file."""
    module = build_empty(make)
    fill(module, Weights([_require(path)], REMEDY), choose_dtype(device), lambda _: device)
    return module


def _require(path: Path) -> Path:
    if not path.is_file():
        raise OSError(f"{path} is missing; {REMEDY}")
    return path
