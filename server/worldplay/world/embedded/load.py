"""Loads an embedded world from a directory: `world.json` beside one safetensors file per network."""

from collections.abc import Callable
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import TypeVar, get_args

import torch
from torch import nn

from worldplay.model.ranks import ALONE, Ranks
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE, lay_out_channels_last
from worldplay.model.vae_on_cpu import lay_out_for_products
from worldplay.world.context import NUM_POINTS, POINTS_SEED, sample_points
from worldplay.world.courtyard.ground import WalkGround
from worldplay.world.courtyard.views import SIGHTS, SUGGESTIONS, render_views
from worldplay.world.device import choose_dtype, choose_vae_dtype
from worldplay.world.embedded.byte_t5 import ByteT5, TextConfig
from worldplay.world.embedded.compact_layers import keep_compact
from worldplay.world.embedded.compact_weights import CompactWeights
from worldplay.world.embedded.conditioner import EmbeddedConditioner
from worldplay.world.embedded.manifest import RESTORE, Description, NetworkName, read_description
from worldplay.world.embedded.text_encoder import MAX_STATES, TextReader
from worldplay.world.model_files import suggesting
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.weight_files import Weights
from worldplay.world.weights import build_empty, fill
from worldplay.world.world import World

EMBEDDED = Path(__file__).resolve().parents[2] / "weights" / "embedded"

MOST_CACHES = 32  # of 10 MB each in float32, half of that in bf16

Module = TypeVar("Module", bound=nn.Module)


def find_embedded(model: str) -> Path:
    """Return the directory of an embedded world: the shipped one, or the one at a path."""
    return EMBEDDED if model == "embedded" else Path(model)


def load_embedded(directory: Path, device: torch.device, ranks: Ranks = ALONE, walks: int = 1) -> World:
    """Load a world for inference. The other ranks need only `load_networks`.

    Args: walks: so many, up to MOST_CACHES, have caches of their own; further ones share them.
    Raises: ValueError or OSError naming the file, what is wrong with it and how to fix it.
    """
    described = read_description(directory)
    transformer, vae = load_networks(directory, device)
    transformer.use_ranks(ranks)
    vae.use_ranks(ranks)
    if device.type == "cpu" and ranks.size == 1 and described.vae.pixel_patch % 2 == 0:
        vae.use_planes()
    with suggesting(RESTORE):
        reader = _load_reader(directory, described.text)
        for network, digest in described.sha256.items():
            _check_digest(directory / f"{network}.safetensors", digest)
    width, height = described.size
    return World(
        name=described.name,
        title=described.title,
        width=width,
        height=height,
        views=render_views(height, width, lambda view: WalkGround(view.c2w)),
        rollout=_prepare_rollout(transformer, described, walks),
        vae=vae,
        conditioner=EmbeddedConditioner(reader, described.transformer.byt5_dim, SUGGESTIONS),
        suggestions=SUGGESTIONS,
        sights=SIGHTS,
        own_pictures="nearest_view",
        weights=_identify(directory, described),
    )


def _identify(directory: Path, described: Description) -> str:
    """Identify the weights by the hashes that the description has, or else by those of the files."""
    digests = dict(described.sha256)
    for name in get_args(NetworkName):
        if name not in digests:
            digests[name] = sha256((directory / f"{name}.safetensors").read_bytes()).hexdigest()
    return sha256("".join(digests.values()).encode()).hexdigest()[:16]


def load_networks(directory: Path, device: torch.device) -> tuple[WorldPlayTransformer, StreamingVAE]:
    """Load the transformer and the autoencoder. Raises: ValueError or OSError as `load_embedded`."""
    described = read_description(directory)
    dtype, vae_dtype = choose_dtype(device), choose_vae_dtype(device)
    with suggesting(RESTORE):
        transformer = _load(
            lambda: WorldPlayTransformer(described.transformer), directory, "transformer", device, dtype
        )
        vae = _load(lambda: StreamingVAE(described.vae), directory, "vae", device, vae_dtype)
    if device.type == "cpu":  # they are used once per prompt, and take a third of the weights' memory
        keep_compact(transformer, CompactWeights([directory / "transformer.safetensors"]), _is_of_text)
    transformer.pack()
    lay_out_channels_last(vae)
    lay_out_for_products(vae.decoder, prod(described.grid))
    return transformer, vae


def _load_reader(directory: Path, config: TextConfig) -> TextReader:
    """Load the prompt's encoder, in float32 on the CPU: it is tiny, and runs once per prompt."""
    path = directory / "text.safetensors"
    weights = Weights([_require(path)])
    model = build_empty(lambda: ByteT5(config))
    fill(model, weights, torch.float32, lambda _: torch.device("cpu"))
    _check_finite(model, path)
    return TextReader(model)


def _prepare_rollout(transformer: WorldPlayTransformer, described: Description, walks: int) -> RolloutModel:
    grid, config = described.grid, described.rollout
    text_tokens = grid[0] * grid[1] + MAX_STATES  # of EmbeddedConditioner
    first, *others = (
        [transformer.new_cache(grid, text_tokens, config.memory_latents)]
        for _ in range(max(1, min(walks, MOST_CACHES)))
    )
    points = sample_points(NUM_POINTS, POINTS_SEED)
    return RolloutModel(transformer, first, points, config, more_caches=tuple(others))


def _load(
    make: Callable[[], Module], directory: Path, name: str, device: torch.device, dtype: torch.dtype
) -> Module:
    """Build a network and fill it strictly from the safetensors file of its name."""
    path = directory / f"{name}.safetensors"
    module = build_empty(make)
    fill(module, CompactWeights([_require(path)]), dtype, lambda _: device)
    _check_finite(module, path)
    return module


def _is_of_text(layer: str) -> bool:
    return ".txt_" in layer


def _check_finite(module: nn.Module, path: Path) -> None:
    """Refuse weights that are not finite: every picture would be noise. Raises: ValueError."""
    for name, weight in module.named_parameters():
        if not weight.isfinite().all():
            raise ValueError(f"{path} has numbers that are not finite in {name}")


def _check_digest(path: Path, expected: str) -> None:
    """Refuse a file that loads, but is not the one that world.json describes. Raises: ValueError."""
    if sha256(path.read_bytes()).hexdigest() != expected:
        raise ValueError(f"{path} is damaged: its SHA-256 is not the one in world.json")


def _require(path: Path) -> Path:
    if not path.is_file():
        raise OSError(f"{path} is missing")
    return path
