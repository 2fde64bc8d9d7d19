"""Loads the world that the settings ask for, or describes it without loading it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from worldplay.model.attention_choice import EIGHT_BIT_ERROR, find_problem
from worldplay.model.config import RELEASED_TRANSFORMER
from worldplay.model.ranks import ALONE, Ranks
from worldplay.ranks.group import BACKENDS
from worldplay.ranks.orders import MakeModules, Modules
from worldplay.ranks.team import lead
from worldplay.ranks.waiting import LOADING_S
from worldplay.settings import (
    ModelSettings,
    Settings,
    keep_compiled_code,
    let_python_see_gpu_errors,
    read_visible_gpus,
)
from worldplay.world.attention import set_attention
from worldplay.world.compiling import can_compile, compile_world
from worldplay.world.courtyard.views import VIEWPOINTS, Viewpoint
from worldplay.world.cuda_graphs import check_recording, record_world
from worldplay.world.decoder_norms import fuse_norms
from worldplay.world.device import choose_device, choose_dtype
from worldplay.world.embedded.load import find_embedded, load_embedded, load_networks
from worldplay.world.embedded.manifest import read_description
from worldplay.world.embedded.previews import show_first_frames
from worldplay.world.frames import parse_size
from worldplay.world.gpus import check_heads, choose_rank_kind, list_gpus
from worldplay.world.model_files import TINY_DECODER
from worldplay.world.pace import AUTO
from worldplay.world.released.files import find_root, is_released
from worldplay.world.released.variants import find_variant
from worldplay.world.tier import TIERS, check_tier, uses_tiny_decoder
from worldplay.world.tiers import apply_tier, describe_attention
from worldplay.world.tiny_decoder_file import load_tiny_decoder
from worldplay.world.world import World, pick_view

if TYPE_CHECKING:
    from worldplay.world.released.load import ReleasedConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """What must be known about a world to plan a clip."""

    name: str
    width: int
    height: int
    chunk_latents: int

    def find_view(self, name: str | None) -> Viewpoint:
        """Find a start view. Raises: ValueError naming the known views."""
        return pick_view(VIEWPOINTS, name)


def read_spec(settings: ModelSettings) -> WorldSpec:
    """Describe the world that `open_world` would load. Raises: ValueError or OSError, as it would."""
    if is_released(settings.model):
        height, width = parse_size(settings.size)
        variant = find_variant(settings.variant)
        return WorldSpec(variant.name, width, height, variant.chunk_latents)
    described = read_description(find_embedded(settings.model))
    return WorldSpec(described.name, *described.size, described.rollout.chunk_latents)


def check_choices(settings: ModelSettings) -> None:
    """Check before minutes of loading what `tune` would refuse after them.

    Raises: ValueError if the tier, the attention backend or recording cannot be, or the tiny decoder's file
        is wrong.
    """
    device = choose_device(settings.device)
    check_recording(settings.graphs, device)
    if not is_released(settings.model):
        return  # it loads in a second
    check_tier(settings.tier, can_walk=find_variant(settings.variant).is_live)
    if settings.attention != AUTO:
        _check_attention(settings, device)
    root = find_root(settings.model, settings.weights_dir)
    if uses_tiny_decoder(settings.tier, root):
        load_tiny_decoder(root / TINY_DECODER, torch.device("cpu"), torch.float32)


def _check_attention(settings: ModelSettings, device: torch.device) -> None:
    heads, width = 2 * RELEASED_TRANSFORMER.heads, RELEASED_TRANSFORMER.head_dim
    largest_error = EIGHT_BIT_ERROR if TIERS[settings.tier].eight_bits else None
    q, k, v = torch.randn(3, 1, heads, 64, width).to(device, choose_dtype(device))
    if problem := find_problem(settings.attention, (q, k, v), largest_error):
        raise ValueError(
            f"attention {settings.attention!r} cannot be used here: {problem}; take --attention auto"
        )


@contextmanager
def open_ranks(settings: ModelSettings) -> Iterator[Ranks]:
    """Start the ranks that compute the settings' model together. They end with the context.

    Raises: ValueError saying why there cannot be so many; otherwise as `check_choices`.
    """
    if is_released(settings.model):
        heads = RELEASED_TRANSFORMER.heads
        if settings.gpus > 1 and not find_variant(settings.variant).is_live:
            raise ValueError(f"expected --gpus 1 with --variant {settings.variant}, got {settings.gpus}")
    else:
        heads = read_description(find_embedded(settings.model)).transformer.heads
    with start_ranks(settings, heads, partial(_load_networks, settings)) as ranks:
        yield ranks


@contextmanager
def start_ranks(settings: ModelSettings, heads: int, make: MakeModules) -> Iterator[Ranks]:
    """Start ranks for a model with so many heads; see `team.lead`. Raises: as `open_ranks`."""
    if settings.gpus == 1:
        check_choices(settings)
        yield ALONE
        return
    if settings.graphs == "on":
        raise ValueError(f"expected --graphs auto or off with --gpus {settings.gpus}, got 'on'")
    check_heads(settings.gpus, heads)
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    kind = choose_rank_kind(settings.device, settings.gpus, names)
    backend = BACKENDS[kind]
    if not (dist.is_available() and dist.is_backend_available(backend)):
        raise ValueError(f"expected a PyTorch with {backend.upper()} for --gpus {settings.gpus}, got none")
    check_choices(settings)  # its sentences about devices are of one rank
    if kind == "cuda":
        let_python_see_gpu_errors()  # in the other ranks, too: they inherit the environment
    if settings.compile == "on":
        keep_compiled_code()
    logger.info("starting %d ranks", settings.gpus)
    gpus = list_gpus(read_visible_gpus())[: settings.gpus] if kind == "cuda" else []
    # Ranks that compile may take longer than others.
    longest_wait_s = max(settings.rank_timeout_s, LOADING_S if settings.compile == "on" else 0.0)
    with lead(settings.gpus, kind, make, longest_wait_s) as leader:
        leader.free = {rank: gpu.free for rank, gpu in enumerate(gpus) if rank > 0}
        yield leader


def _load_networks(settings: ModelSettings, device: torch.device) -> Modules:
    """Load what another rank than 0 needs."""
    if is_released(settings.model):
        from worldplay.world.released.load import load_released_networks  # importing it takes seconds

        return load_released_networks(*describe_released(settings), device)
    return load_networks(find_embedded(settings.model), device)


def open_world(settings: ModelSettings, *, sessions: int, clips: int, ranks: Ranks = ALONE) -> World:
    """Load the world, with memory for these clips and for these sessions, or as many sessions as fit.

    Raises: ValueError or OSError naming the file, what is wrong with it and the command that fixes it.
    """
    check_choices(settings)
    device = choose_device(settings.device)
    if device.type == "cpu" and settings.device == "auto":
        _warn_of_unused_gpu()
    if is_released(settings.model):
        world = _open_released(settings, device, sessions, clips, ranks)
    else:
        # A second thread makes a chunk of a small world a fifth faster on an idle machine. Where a browser
        # needs a core as well, the two threads wait for each other, and a chunk can take seconds.
        torch.set_num_threads(1)
        walks = 1 if TIERS[settings.tier].keeps_context else sessions + clips  # walks read their context back
        world = load_embedded(find_embedded(settings.model), device, ranks, walks)
    return tune(settings, world, sessions=sessions, clips=clips)


def _warn_of_unused_gpu() -> None:
    for gpu in list_gpus(read_visible_gpus())[:1]:
        logger.warning(
            "PyTorch cannot use the GPU (%s), so this runs on the CPU; is its driver too old for PyTorch %s?",
            gpu.name,
            torch.__version__,
        )


def open_live_world(settings: Settings, ranks: Ranks = ALONE) -> World:
    """Load the world, with memory for the visitors and one clip. Raises: as `open_world`."""
    can_walk = not is_released(settings.model) or find_variant(settings.variant).is_live
    sessions = settings.max_sessions if can_walk else 0
    world = open_world(settings, sessions=sessions, clips=1, ranks=ranks)
    if is_released(settings.model):  # its first frame is the start image itself
        return world
    return show_first_frames(world)


def tune(settings: ModelSettings, world: World, *, sessions: int = 1, clips: int = 0) -> World:
    """Choose how a loaded world computes: its tier and attention, and whether it is compiled and recorded.

    Args:
        sessions: that were asked for; there may be memory for fewer.
        clips: made beside them, one walk each.
    Raises: ValueError if the tier, or the attention backend that was asked for, does not work here, or no
        recording does.
    """
    compiles = _wants_compiling(settings, world.device)
    if compiles:
        keep_compiled_code()
        compiles = can_compile(world.device)
    if world.max_sessions is not None:
        sessions = min(sessions, world.max_sessions)
    world = apply_tier(
        world,
        settings.tier,
        compiles=compiles,
        walks=sessions + clips,
        tiny_decoder=describe_released(settings)[1] / TINY_DECODER if is_released(settings.model) else None,
    )
    set_attention(world, settings.attention, eight_bits=TIERS[settings.tier].eight_bits)
    world = describe_attention(world)
    if compiles:
        world = compile_world(world)
    for lever in world.levers:
        logger.info("tier %s: %s", world.tier, lever)
    if settings.gpus > 1:  # neither was tried on several
        return world
    return record_world(fuse_norms(world), settings.graphs)


def _wants_compiling(settings: ModelSettings, device: torch.device) -> bool:
    """Compile by default where that was measured to pay."""
    if settings.compile == "auto":
        return is_released(settings.model) and device.type == "cuda" and settings.gpus == 1
    return settings.compile == "on"


def _open_released(
    settings: ModelSettings, device: torch.device, sessions: int, clips: int, ranks: Ranks
) -> World:
    from worldplay.world.released.load import free_bytes, load_released  # importing it takes seconds

    config, root = describe_released(settings)
    config = replace(config, sessions=sessions, clips=clips)
    return load_released(config, root, device, free_bytes(device), ranks)


def describe_released(settings: ModelSettings) -> "tuple[ReleasedConfig, Path]":
    """Return which released model the settings ask for, for one walk, and the folder of its files."""
    from worldplay.world.released.load import ReleasedConfig

    root = find_root(settings.model, settings.weights_dir)
    variant = replace(find_variant(settings.variant), shift=settings.shift)
    config = ReleasedConfig(
        variant,
        parse_size(settings.size),
        tiny_decoder=uses_tiny_decoder(settings.tier, root),
        keeps_context=TIERS[settings.tier].keeps_context,
    )
    return config, root
