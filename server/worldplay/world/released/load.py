"""Loads a released model: transformer, autoencoder and encoders become a world to walk in."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.config import TransformerConfig, VAEConfig
from worldplay.model.kv_cache import KVCache
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE, lay_out_channels_last
from worldplay.model.vae_keys import published_key
from worldplay.world.context import NUM_POINTS, POINTS_SEED, sample_points
from worldplay.world.courtyard.views import VIEWPOINTS, make_view
from worldplay.world.device import choose_dtype
from worldplay.world.frames import SIZE
from worldplay.world.released.conditioner import Encoders, ReleasedConditioner
from worldplay.world.released.encoders import GlyphEncoder, PromptEncoder, VisionEncoder
from worldplay.world.released.files import ReleasedFiles, locate
from worldplay.world.released.host_memory import check_host_memory
from worldplay.world.released.memory_estimate import (
    BYTES,
    MAX_TEXT_TOKENS,
    RELEASED,
    Shapes,
    count_host_bytes,
    count_needs,
    is_text_parameter,
)
from worldplay.world.released.offload import RESERVE, Lodging, Plan, Residence, count_waiting, plan_memory
from worldplay.world.released.remedy import find_remedy
from worldplay.world.released.variants import Variant
from worldplay.world.rollout import RolloutModel
from worldplay.world.walk import OpenGround
from worldplay.world.weights import Placer, build_empty, fill, find_weights
from worldplay.world.world import World

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")
META = torch.device("meta")  # where tensors have a shape and a type, and no content


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is read from disk."""

    transformer: WorldPlayTransformer
    vae: StreamingVAE
    encoders: Encoders


def load_released(
    root: Path,
    variant: Variant,
    size: tuple[int, int],
    device: torch.device,
    budget: int | None,
    sessions: int = 1,
    shapes: Shapes = RELEASED,
    clips: int = 0,
) -> World:
    """Load a variant for pictures of a size, (height, width).

    Args:
        root: what `worldplay download` filled, or a directory with the published files in it.
        budget: bytes of the device that may be used; None for as many as it takes.
        sessions: visitors to keep memory for; fewer if there is less, but not none of them.
        clips: walks beside them, which are always kept memory for.
    Raises: ValueError or OSError naming the file, what is wrong with it and the command that mends it.
    """
    remedy = find_remedy(variant, root)
    files = locate(root, variant.folder, remedy)
    if device.type == "cpu":
        _check_host(files, variant, size, shapes, clips)
    plan, max_sessions = choose_plan(variant, size, budget, sessions, clips, shapes)
    _check_waiting(files, variant, size, shapes, plan)
    parts = _load_parts(files, variant, device, plan, shapes, remedy)
    height, width = size
    return World(
        name=variant.name,
        title="HY-WorldPlay",
        width=width,
        height=height,
        views=tuple(make_view(view, height, width, OpenGround) for view in VIEWPOINTS),
        rollout=RolloutModel(
            parts.transformer,
            _make_caches(parts.transformer, variant, size, shapes, plan.raw_caches),
            sample_points(NUM_POINTS, POINTS_SEED),
            variant.rollout(),
        ),
        vae=parts.vae,
        conditioner=ReleasedConditioner(parts.encoders),
        text_in_use=Lodging(_text_stream(parts.transformer), device, plan.text_stream).in_use,
        max_sessions=max_sessions,
    )


def check_released(root: Path, variant: Variant, shapes: Shapes = RELEASED) -> None:
    """Do all that can go wrong in `load_released`, without reading more of the weights than their headers.

    Raises: ValueError or OSError as `load_released` would.
    """
    remedy = find_remedy(variant, root)
    plan, _ = choose_plan(variant, SIZE, None, 1, 0, shapes)
    _load_parts(locate(root, variant.folder, remedy), variant, META, plan, shapes, remedy)


def _load_parts(
    files: ReleasedFiles, variant: Variant, device: torch.device, plan: Plan, shapes: Shapes, remedy: str
) -> _Parts:
    transformer = _load_transformer(files.transformer, variant, shapes.transformer, device, plan, remedy)
    vae = _load_vae(files.vae, shapes.vae, device, remedy)
    encoders = _load_encoders(files, device, plan.encoders, remedy)
    _check_widths(encoders, files, shapes.transformer, remedy)
    return _Parts(transformer, vae, encoders)


def _check_host(
    files: ReleasedFiles, variant: Variant, size: tuple[int, int], shapes: Shapes, clips: int
) -> None:
    """Raises: OSError if a CPU's memory cannot hold the model."""
    model = count_host_bytes(variant, size, shapes, max(1, clips), choose_dtype(CPU).itemsize)
    check_host_memory(
        model + _encoder_bytes(files),
        f"{variant.name} at {size[0]}x{size[1]} on a CPU",
        "use a GPU, a smaller size, or the embedded world",
    )


def _check_waiting(
    files: ReleasedFiles, variant: Variant, size: tuple[int, int], shapes: Shapes, plan: Plan
) -> None:
    """Raises: OSError if the host's memory cannot hold what the plan has waiting there."""
    text_stream = count_needs(variant, size, shapes).text_stream
    check_host_memory(
        count_waiting(plan, _encoder_bytes(files), text_stream, choose_dtype(CPU).itemsize // BYTES),
        f"what {variant.name} keeps off the GPU",
        "leave more GPU memory free, or take fewer --max-sessions; see `worldplay doctor`",
    )


def _encoder_bytes(files: ReleasedFiles) -> int:
    """What they take on the disk, which is the least that they take in memory."""
    folders = (files.text.model, files.glyph.weights, files.vision.model)
    return sum(path.stat().st_size for folder in folders for path in folder.glob("*.safetensors"))


def free_bytes(device: torch.device) -> int | None:
    """What a model may use of a device; None where memory is not the question."""
    return torch.cuda.mem_get_info(device)[0] - RESERVE if device.type == "cuda" else None


def choose_plan(
    variant: Variant, size: tuple[int, int], budget: int | None, sessions: int, clips: int, shapes: Shapes
) -> tuple[Plan, int | None]:
    """Where the parts go so that all visitors fit beside the clips, or as many of them as possible.

    Returns: also how many do; None where memory is not the question.
    Raises: ValueError if not even one does.
    """
    if budget is None:
        return Plan(False, Residence.RESIDENT, Residence.RESIDENT, 0, fits=True), None
    needs = count_needs(variant, size, shapes)
    for count in range(sessions, min(sessions, 1) - 1, -1):
        plan = plan_memory(needs.demand(variant, count + clips), budget)
        if plan.fits:
            if count < sessions:
                logger.warning("GPU memory is enough for %d visitors, not for %d", count, sessions)
            return plan, count
    raise ValueError(
        f"{variant.name} at {size[0]}x{size[1]} needs {plan.peak / 1e9:.1f} GB of GPU memory, "
        f"{budget / 1e9:.1f} GB are free; take a smaller --size, see `worldplay doctor`"
    )


def _load_transformer(
    folder: Path, variant: Variant, config: TransformerConfig, device: torch.device, plan: Plan, remedy: str
) -> WorldPlayTransformer:
    make = WorldPlayTransformer if variant.is_live else BidirectionalTransformer
    transformer = build_empty(lambda: make(config))
    weights = find_weights(folder, remedy)
    fill(transformer, weights, choose_dtype(device), _place_text(device, plan.text_stream))
    return transformer


def _place_text(device: torch.device, placement: Residence) -> Placer:
    """Load the text stream where it waits, everything else on the device."""
    waiting = device if placement is Residence.RESIDENT else CPU
    return lambda name: waiting if is_text_parameter(name) else device


def _text_stream(transformer: WorldPlayTransformer) -> Iterable[torch.nn.Parameter]:
    return [parameter for name, parameter in transformer.named_parameters() if is_text_parameter(name)]


def _load_vae(folder: Path, config: VAEConfig, device: torch.device, remedy: str) -> StreamingVAE:
    """From either layout: the published names and diffusers' differ, the tensors do not."""
    vae = build_empty(lambda: StreamingVAE(config))
    weights = find_weights(folder, remedy)
    ours = {published_key(name): name for name in vae.state_dict()}
    names = {ours.get(key, key): key for key in weights.keys}
    fill(vae, weights, choose_dtype(device), lambda _: device, names)
    lay_out_channels_last(vae)
    return vae


def _load_encoders(files: ReleasedFiles, device: torch.device, placement: Residence, remedy: str) -> Encoders:
    home = device if placement is Residence.RESIDENT else CPU
    compute = CPU if placement is Residence.HOST else device
    # float16 as published; a CPU multiplies that slowly.
    dtype = torch.float16 if compute.type == "cuda" else choose_dtype(compute)
    text = PromptEncoder(files.text, home, dtype, remedy)
    glyph = GlyphEncoder(files.glyph, home, remedy)
    vision = VisionEncoder(files.vision, home, dtype, remedy)
    lodgings = [
        Lodging([*encoder.model.parameters(), *encoder.model.buffers()], device, placement)
        for encoder in (text, glyph, vision)
    ]
    return Encoders(text, glyph, vision, *(lodging.in_use for lodging in lodgings))


def _check_widths(encoders: Encoders, files: ReleasedFiles, config: TransformerConfig, remedy: str) -> None:
    for folder, width, expected in (
        (files.text.model, encoders.text.width, config.text_dim),
        (files.glyph.weights, encoders.glyph.width, config.byt5_dim),
        (files.vision.model, encoders.vision.width, config.vision_dim),
    ):
        if width != expected:
            raise ValueError(f"{folder} holds an encoder of width {width}, expected {expected}; {remedy}")


def _make_caches(
    transformer: WorldPlayTransformer, variant: Variant, size: tuple[int, int], shapes: Shapes, raw: bool
) -> list[KVCache]:
    """One per guidance branch; the bidirectional model has no use for any."""
    if not variant.is_live:
        return []
    side = shapes.vae.pixels_per_latent
    grid = (size[0] // side, size[1] // side)
    context = variant.rollout().memory_latents
    return [
        transformer.new_cache(grid, MAX_TEXT_TOKENS, context, raw=raw) for _ in range(variant.num_branches)
    ]
