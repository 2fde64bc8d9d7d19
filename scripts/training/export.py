"""Writes a trained transformer and the description of its world, as the server loads them."""

import json
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from safetensors.torch import save_file
from torch import Tensor

from training.chunks import CHUNK
from training.compact import compact
from training.generate import SHIFT, STEPS
from training.samples import MEMORY_LATENTS, RECENT_LATENTS
from training.text_stage import EMBEDDED_TEXT
from training.walk_files import HEIGHT, SHRINK, WIDTH
from worldplay.model.config import CONTEXT_TIMESTEP, TransformerConfig
from worldplay.world.embedded.manifest import NetworkName
from worldplay.world.rollout_config import RolloutConfig

TRAINED_ROLLOUT = RolloutConfig(
    chunk_latents=CHUNK,
    memory_latents=MEMORY_LATENTS,
    recent_latents=RECENT_LATENTS,
    context_timestep=CONTEXT_TIMESTEP,
    steps=STEPS,
    shift=SHIFT,
    guidance=1.0,
)
# Chosen on generated walks: docs/notes/embedded-world.md.
EMBEDDED_ROLLOUT = replace(
    TRAINED_ROLLOUT,
    memory_latents=10,
    first_latents=2,
    steps=2,
    shift=12.0,
    history_guidance=1.3,
    is_still=True,
    relights=True,
)


def export(folder: Path, weights: dict[str, Tensor], config: TransformerConfig) -> None:
    """Write what the server loads beside the VAE: compact weights, and the world's description."""
    partial = folder / "transformer.partial"
    save_file(compact({name: weight.cpu() for name, weight in weights.items()}), partial)
    partial.rename(folder / "transformer.safetensors")
    description = {
        "format": 1,
        "name": "embedded",
        "title": "Courtyard",
        "size": [WIDTH * SHRINK, HEIGHT * SHRINK],
        "transformer": asdict(config),
        "vae": json.loads((folder / "vae.json").read_text()),
        "text": asdict(EMBEDDED_TEXT),
        "rollout": asdict(EMBEDDED_ROLLOUT),
    }
    write_description(folder / "world.json", description)
    seal(folder)


def seal(folder: Path) -> None:
    """Write the hashes of the world's files to world.json, if it exists, so that damage is noticed."""
    path = folder / "world.json"
    if path.exists():
        files = {name: folder / f"{name}.safetensors" for name in get_args(NetworkName)}
        digests = {
            name: sha256(file.read_bytes()).hexdigest() for name, file in files.items() if file.exists()
        }
        write_description(path, {**json.loads(path.read_text()), "sha256": digests})


def write_description(path: Path, description: dict[str, Any]) -> None:
    """Write JSON: the whole file, or nothing."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(description, indent=1) + "\n")
    partial.rename(path)
