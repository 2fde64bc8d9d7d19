"""Loads a released model: joins transformer, autoencoder and encoders to a world."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from worldplay.model.bidirectional import BidirectionalTransformer
from worldplay.model.kv_cache import KVCache
from worldplay.model.parameters import is_encoder_parameter, is_text_parameter
from worldplay.model.ranks import ALONE, Ranks
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE, lay_out_channels_last
from worldplay.model.vae_keys import match_keys
from worldplay.world.context import NUM_POINTS, POINTS_SEED, sample_points
from worldplay.world.courtyard.views import render_views
from worldplay.world.device import choose_dtype, choose_vae_dtype
from worldplay.world.memory import available_memory
from worldplay.world.model_files import suggesting
from worldplay.world.released.conditioner import Encoders, ReleasedConditioner
from worldplay.world.released.files import ReleasedFiles, locate, suggest_download
from worldplay.world.released.memory_estimate import (
    BYTES,
    MAX_TEXT_TOKENS,
    RELEASED,
    MemoryEstimate,
    Shapes,
    count_host_bytes,
    estimate_memory,
)
from worldplay.world.released.offload import Offloaded
from worldplay.world.released.offload_plan import (
    RESERVE,
    OffloadMode,
    OffloadPlan,
    check_host_memory,
    count_cache_sets,
    count_spare,
    count_waiting,
    find_short_rank,
    least_of_others,
    plan_for_sessions,
    plan_to_keep,
)
from worldplay.world.released.variants import Variant
from worldplay.world.rollout_model import RolloutModel
from worldplay.world.walk import OpenGround
from worldplay.world.weight_files import find_weights
from worldplay.world.weights import build_empty, fill
from worldplay.world.world import World

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")
META = torch.device("meta")  # its tensors have a shape and a dtype, but no content


@dataclass(frozen=True, slots=True)
class ReleasedConfig:
    """Which released model is loaded, and for how many walks."""

    variant: Variant
    size: tuple[int, int]  # of its pictures: height, width
    sessions: int = 1  # to keep memory for; fewer if memory is short, but at least one
    clips: int = 0  # to keep memory for, in every case
    shapes: Shapes = RELEASED
    tiny_decoder: bool = False  # another network shows the latents; the autoencoder's decoder is not loaded
    # By the tier, so that all walks use one set of caches; else each has its own, where memory allows.
    keeps_context: bool = False

    @property
    def name(self) -> str:
        return f"{self.variant.name} at {self.size[0]}x{self.size[1]}"

    def estimate(self, ranks: int = 1) -> MemoryEstimate:
        """Estimate the memory of rank 0, if so many compute the model together."""
        return estimate_memory(self.variant, self.size, self.shapes, ranks, tiny_decoder=self.tiny_decoder)


def load_released(
    config: ReleasedConfig, root: Path, device: torch.device, budget: int | None, ranks: Ranks = ALONE
) -> World:
    """Load a variant for pictures of a size. The other ranks need only `load_released_networks`.

    Args:
        root: the folder of `worldplay download`, or another one with the published files.
        budget: bytes of the device that may be used; None if memory is not limited.
    Raises: ValueError or OSError naming the file, what is wrong with it and the command that fixes it.
    """
    command = suggest_download(config.variant, root)
    with suggesting(command):
        files = locate(root, config.variant)
    needed = config.estimate(ranks.size)
    others = least_of_others(ranks.free)
    plan, sessions = choose_plan(config, needed, budget, others)
    walks = sessions + config.clips
    if problem := find_short_rank(needed, plan, walks, ranks.free):
        raise ValueError(problem)
    _check_host(files, config, needed, plan, device, ranks.size)
    with suggesting(command):
        world = _Loader(files, config, plan, device).load_world(ranks)
    if budget is None:
        return world
    if not config.keeps_context:
        more = count_cache_sets(needed, plan, walks, budget, others) - 1
        sets = tuple(
            _make_caches(world.rollout.transformer, config, plan.unrotated_caches) for _ in range(more)
        )
        world = replace(world, rollout=replace(world.rollout, more_caches=sets))
        logger.info("%d of %d walks keep their context while others compute", more + 1, walks)
    return replace(world, max_sessions=sessions, spare_bytes=count_spare(needed, plan, walks, budget, others))


def load_released_networks(
    config: ReleasedConfig, root: Path, device: torch.device
) -> tuple[WorldPlayTransformer, StreamingVAE]:
    """Load what another rank than 0 needs: the image stream, and the decoder if it shows the latents.

    Raises: ValueError or OSError as `load_released`.
    """
    plan, _ = choose_plan(config, config.estimate(), None)
    with suggesting(suggest_download(config.variant, root)):
        loader = _Loader(locate(root, config.variant), config, plan, device, is_rank_0=False)
        return loader.load_transformer(), loader.load_vae()


def check_released(config: ReleasedConfig, root: Path) -> None:
    """Check a variant's files: build all networks, but read only the headers of the weights.

    Raises: ValueError or OSError as `load_released`.
    """
    plan, _ = choose_plan(config, config.estimate(), None)
    with suggesting(suggest_download(config.variant, root)):
        loader = _Loader(locate(root, config.variant), config, plan, META)
        loader.load_transformer()
        loader.load_vae()
        loader.load_encoders()


def choose_plan(
    config: ReleasedConfig, needed: MemoryEstimate, budget: int | None, others: int | None = None
) -> tuple[OffloadPlan, int]:
    """Decide where the parts go, and for how many sessions there is memory.

    Args: others: as in `count_spare`.
    Raises: ValueError if there is not enough memory for one.
    """
    if config.keeps_context and budget is not None:
        context, host = config.variant.rollout().memory_latents, available_memory()
        kept = plan_to_keep(needed, config.sessions, config.clips, budget, context, others, host)
        if kept is not None:
            if kept[1] < config.sessions:
                logger.warning("GPU memory is enough for the kept context of %d sessions", kept[1])
            return kept
    plan, sessions = plan_for_sessions(needed, config.sessions, config.clips, budget)
    if budget is not None and not plan.fits:
        raise ValueError(
            f"{config.name} needs {plan.peak / 1e9:.1f} GB of GPU memory, {budget / 1e9:.1f} GB are free; "
            "take a smaller --size, see `worldplay doctor`"
        )
    if sessions < config.sessions:
        logger.warning("GPU memory is enough for %d sessions, not for %d", sessions, config.sessions)
    return plan, sessions


def _check_host(
    files: ReleasedFiles,
    config: ReleasedConfig,
    needed: MemoryEstimate,
    plan: OffloadPlan,
    device: torch.device,
    ranks: int,
) -> None:
    """Raises: OSError if the host's memory cannot hold the model, or what the plan keeps off the GPU."""
    encoders, number_bytes = _encoder_bytes(files), choose_dtype(CPU).itemsize
    if device.type == "cpu":
        walks = max(1, config.clips)
        check_host_memory(
            count_host_bytes(needed, walks, number_bytes, ranks) + encoders,
            f"{config.name} on a CPU",
            "use a GPU, a smaller size, or the embedded world",
        )
    check_host_memory(
        count_waiting(plan, encoders, needed.text_stream, number_bytes // BYTES),
        f"what {config.variant.name} keeps off the GPU",
        "leave more GPU memory free, or take fewer --max-sessions; see `worldplay doctor`",
    )


def _encoder_bytes(files: ReleasedFiles) -> int:
    """Return the size of the encoders on disk; in memory they need at least as much."""
    folders = (files.text.model, files.glyph.weights, files.vision.model)
    found = (path for folder in folders for path in folder.glob("*.safetensors"))
    return sum(path.stat().st_size for path in found if path.is_file())  # not a link to nothing


def free_bytes(device: torch.device) -> int | None:
    """Return the bytes of a device that a model may use; None if memory is not limited."""
    return torch.cuda.mem_get_info(device)[0] - RESERVE if device.type == "cuda" else None


@dataclass(frozen=True, slots=True)
class _Loader:
    """Loads the parts to where the plan puts them. Raises: ValueError or OSError naming the file at fault."""

    files: ReleasedFiles
    config: ReleasedConfig
    plan: OffloadPlan
    device: torch.device
    is_rank_0: bool = True  # which alone encodes prompts and pictures

    def load_world(self, ranks: Ranks) -> World:
        transformer, vae, config = self.load_transformer(), self.load_vae(), self.config
        transformer.use_ranks(ranks)
        vae.use_ranks(ranks)
        height, width = config.size
        return World(
            name=config.variant.name,
            title="HY-WorldPlay",
            width=width,
            height=height,
            views=render_views(height, width, lambda _: OpenGround()),
            rollout=RolloutModel(
                transformer,
                _make_caches(transformer, config, self.plan.unrotated_caches),
                sample_points(NUM_POINTS, POINTS_SEED),
                config.variant.rollout(),
            ),
            vae=vae,
            conditioner=ReleasedConditioner(self.load_encoders()),
            text_in_use=Offloaded(_text_stream(transformer), self.device, self.plan.text_stream).in_use,
            weights=find_weights(self.files.transformer).identify(),
        )

    def load_transformer(self) -> WorldPlayTransformer:
        make = WorldPlayTransformer if self.config.variant.is_live else BidirectionalTransformer
        transformer = build_empty(lambda: make(self.config.shapes.transformer))
        weights = find_weights(self.files.transformer)
        fill(transformer, weights, choose_dtype(self.device), self._place_text)
        transformer.pack()
        return transformer

    def _place_text(self, name: str) -> torch.device:
        """Return a parameter's device: the text stream may wait on the CPU, all others are on the device."""
        if not is_text_parameter(name):
            return self.device
        if not self.is_rank_0:
            return META
        waits = self.plan.text_stream is not OffloadMode.ON_DEVICE
        return CPU if waits else self.device

    def _place_vae(self, name: str) -> torch.device:
        """Return a parameter's device. What this rank does not need gets no memory."""
        is_needed = self.is_rank_0 if is_encoder_parameter(name) else not self.config.tiny_decoder
        return self.device if is_needed else META

    def load_vae(self) -> StreamingVAE:
        """Load the autoencoder from either layout. Their names differ, their tensors do not."""
        vae = build_empty(lambda: StreamingVAE(self.config.shapes.vae))
        weights = find_weights(self.files.vae)
        names = match_keys(weights.keys, vae.state_dict())
        fill(vae, weights, choose_vae_dtype(self.device), self._place_vae, names)
        lay_out_channels_last(vae)
        return vae

    def load_encoders(self) -> Encoders:
        # Only rank 0 needs them, and transformers takes seconds to import.
        from worldplay.world.released.encoders import GlyphEncoder, PromptEncoder, VisionEncoder

        mode, files = self.plan.encoders, self.files
        home = self.device if mode is OffloadMode.ON_DEVICE else CPU
        compute = CPU if mode is OffloadMode.ON_CPU else self.device
        # float16 as published; on a CPU float16 is slow.
        dtype = torch.float16 if compute.type == "cuda" else choose_dtype(compute)
        text = PromptEncoder(files.text, home, dtype)
        glyph = GlyphEncoder(files.glyph, home)
        vision = VisionEncoder(files.vision, home, dtype)
        parts = [
            Offloaded([*encoder.model.parameters(), *encoder.model.buffers()], self.device, mode)
            for encoder in (text, glyph, vision)
        ]
        encoders = Encoders(text, glyph, vision, *(part.in_use for part in parts))
        self._check_widths(encoders)
        return encoders

    def _check_widths(self, encoders: Encoders) -> None:
        files, config = self.files, self.config.shapes.transformer
        for folder, width, expected in (
            (files.text.model, encoders.text.width, config.text_dim),
            (files.glyph.weights, encoders.glyph.width, config.byt5_dim),
            (files.vision.model, encoders.vision.width, config.vision_dim),
        ):
            if width != expected:
                raise ValueError(f"{folder} holds an encoder of width {width}, expected {expected}")


def _text_stream(transformer: WorldPlayTransformer) -> Iterable[torch.nn.Parameter]:
    return [parameter for name, parameter in transformer.named_parameters() if is_text_parameter(name)]


def _make_caches(transformer: WorldPlayTransformer, config: ReleasedConfig, unrotated: bool) -> list[KVCache]:
    """Make one cache per guidance branch; the bidirectional model needs none."""
    if not config.variant.is_live:
        return []
    grid = config.shapes.vae.grid(config.size)
    context = config.variant.rollout().memory_latents
    branches = range(config.variant.num_branches)
    return [transformer.new_cache(grid, MAX_TEXT_TOKENS, context, unrotated=unrotated) for _ in branches]
