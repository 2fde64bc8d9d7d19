"""Reads `world.json`: the sizes of a world's networks, and how they are used."""

import json
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from worldplay.model.config import CHUNK_LATENTS, MAX_CONTEXT, TransformerConfig, VAEConfig, require_positive
from worldplay.wording import find_fault
from worldplay.world.embedded.byte_t5 import TextConfig
from worldplay.world.frames import MAX_SIDE
from worldplay.world.model_files import suggesting
from worldplay.world.rollout_config import MAX_STEPS, RolloutConfig

RESTORE = "restore it from the release"
MAX_DEPTH = 200
MAX_SHIFT = 100.0
MAX_HISTORY_GUIDANCE = 10.0

NetworkName = Literal["transformer", "vae", "text"]


@dataclass(frozen=True, slots=True)
class Description:
    """The file, field by field."""

    format: Literal[1]
    name: str
    title: str
    size: tuple[int, int]  # width, height
    transformer: TransformerConfig
    vae: VAEConfig
    text: TextConfig
    rollout: RolloutConfig
    # Of each network's file, in hex. Finds damage that would still load, and make black pictures.
    sha256: dict[NetworkName, str] = field(default_factory=dict)

    @property
    def grid(self) -> tuple[int, int]:
        """Return the height and width of a latent."""
        width, height = self.size
        return self.vae.grid((height, width))

    def __post_init__(self) -> None:
        self._check_bounds()
        self._check_size()
        self._check_widths()
        self._check_rollout()

    def _check_bounds(self) -> None:
        """Refuse values with which loading would never end, or that make black pictures."""
        depths = {
            "blocks": self.transformer.blocks,
            "refiner_blocks": self.transformer.refiner_blocks,
            "encoder_layers": self.vae.encoder_layers,
            "decoder_layers": self.vae.decoder_layers,
            "num_layers": self.text.num_layers,
        }
        for name, depth in depths.items():
            if depth > MAX_DEPTH:
                raise ValueError(f"expected at most {MAX_DEPTH} {name}, got {depth}")
        if self.rollout.steps > MAX_STEPS:
            raise ValueError(f"expected at most {MAX_STEPS} steps, got {self.rollout.steps}")
        if self.rollout.shift > MAX_SHIFT:
            raise ValueError(f"expected a shift of at most {MAX_SHIFT}, got {self.rollout.shift}")
        if (guidance := self.rollout.history_guidance) > MAX_HISTORY_GUIDANCE:
            raise ValueError(f"expected a history_guidance of at most {MAX_HISTORY_GUIDANCE}, got {guidance}")

    def _check_size(self) -> None:
        require_positive(width=self.size[0], height=self.size[1])
        rows, columns = self.transformer.patch_size
        sides = self.vae.pixels_per_latent * columns, self.vae.pixels_per_latent * rows
        if self.size[0] % sides[0] or self.size[1] % sides[1] or max(self.size) > MAX_SIDE:
            raise ValueError(f"expected a size in multiples of {sides} up to {MAX_SIDE}, got {self.size}")

    def _check_widths(self) -> None:
        """Refuse networks that do not fit each other."""
        channels = self.vae.latent_channels
        expected = {"latent_channels": channels, "vision_dim": channels, "text_dim": self.text.d_model}
        for name, value in expected.items():
            if (found := getattr(self.transformer, name)) != value:
                raise ValueError(f"expected a transformer of {name} {value}, got {found}")

    def _check_rollout(self) -> None:
        rollout = self.rollout
        if rollout.chunk_latents != CHUNK_LATENTS or rollout.guidance != 1.0:
            raise ValueError(f"expected chunks of {CHUNK_LATENTS} latents and guidance 1")
        memory, first, recent = rollout.memory_latents, rollout.first_latents, rollout.recent_latents
        if first > CHUNK_LATENTS:
            raise ValueError(f"expected at most {CHUNK_LATENTS} first_latents, got {first}")
        least = first + recent
        if (memory - least) % CHUNK_LATENTS or recent % CHUNK_LATENTS:
            raise ValueError(
                f"expected memory in whole chunks, got {memory} latents, {first} first, {recent} recent"
            )
        if not least <= memory <= MAX_CONTEXT:
            raise ValueError(f"expected {least} to {MAX_CONTEXT} memory_latents, got {memory}")


def read_description(directory: Path) -> Description:
    """Read and check a world's description.

    Raises: OSError or ValueError naming the file, what is wrong with it and how to fix it.
    """
    path = directory / "world.json"
    if not path.is_file():
        raise OSError(
            f"{path} is missing: expected 'embedded', 'hy-worldplay' or a directory with a world in it"
        )
    with suggesting(RESTORE):
        return _parse(path)


def _parse(path: Path) -> Description:
    text = path.read_bytes()
    try:
        described = TypeAdapter(Description).validate_json(text, strict=True)
    except ValidationError as error:
        fault = find_fault(error)
        where = ": ".join(filter(None, (str(path), fault.path)))
        raise ValueError(f"{where}: {fault.reason}") from None
    if unknown := _unknown_fields(described, json.loads(text)):
        raise ValueError(f"{path} has the unexpected {unknown}")
    return described


def _unknown_fields(described: Any, content: dict[str, Any]) -> str:
    """Return the first field of the JSON that the dataclass or a part of it lacks; empty if none."""
    known = {field.name: getattr(described, field.name) for field in fields(described)}
    for name, value in content.items():
        if name not in known:
            return name
        if is_dataclass(known[name]) and (unknown := _unknown_fields(known[name], value)):
            return f"{name}.{unknown}"
    return ""
