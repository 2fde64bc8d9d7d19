"""`world.json`: what a world's networks look like, and how they are used."""

import json
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from worldplay.model.positive import require_positive
from worldplay.model.transformer import CHUNK_LATENTS, TransformerConfig
from worldplay.model.vae import VAEConfig
from worldplay.world.court_text import TextConfig
from worldplay.world.rollout import RolloutConfig
from worldplay.world.variants import MODEL

REMEDY = "restore it from the release"


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

    def __post_init__(self) -> None:
        require_positive(width=self.size[0], height=self.size[1])
        rows, columns = self.transformer.patch_size
        sides = self.vae.pixels_per_latent * columns, self.vae.pixels_per_latent * rows
        if self.size[0] % sides[0] or self.size[1] % sides[1]:
            raise ValueError(f"expected a size in multiples of {sides}, got {self.size}")
        if self.rollout.chunk_latents != CHUNK_LATENTS or self.rollout.guidance != 1.0:
            raise ValueError(f"expected chunks of {CHUNK_LATENTS} latents and guidance 1")


def read_description(directory: Path) -> Description:
    """Read and check a world's description.

    Raises: OSError or ValueError naming the file, what is wrong with it and the remedy.
    """
    path = directory / "world.json"
    if not path.is_file():
        raise OSError(f"{path} is missing: expected 'embedded', '{MODEL}' or a directory with a world in it")
    text = path.read_bytes()
    try:
        described = TypeAdapter(Description).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")  # pydantic's, before those of our own checks
        raise ValueError(f"{path}: {place + ': ' if place else ''}{words}; {REMEDY}") from None
    if unknown := _unknown_fields(described, json.loads(text)):
        raise ValueError(f"{path} has the unexpected {unknown}; {REMEDY}")
    return described


def _unknown_fields(described: Any, content: dict[str, Any]) -> str:
    """The first field of a dataclass's JSON that it does not have, or of its parts'; empty if none."""
    known = {field.name: getattr(described, field.name) for field in fields(described)}
    for name, value in content.items():
        if name not in known:
            return name
        if is_dataclass(known[name]) and (unknown := _unknown_fields(known[name], value)):
            return f"{name}.{unknown}"
    return ""
