"""Writes a trained transformer as the server loads it, with the description of its world."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from training.chunks import CHUNK
from training.data import HEIGHT, WIDTH
from training.generate import SHIFT, STEPS
from training.samples import MEMORY_LATENTS, RECENT_LATENTS
from training.text_stage import EMBEDDED_TEXT
from worldplay.model.transformer import CONTEXT_TIMESTEP, TransformerConfig
from worldplay.world.rollout import RolloutConfig

EMBEDDED_ROLLOUT = RolloutConfig(
    chunk_latents=CHUNK,
    memory_latents=MEMORY_LATENTS,
    recent_latents=RECENT_LATENTS,
    context_timestep=CONTEXT_TIMESTEP,
    steps=STEPS,
    shift=SHIFT,
    guidance=1.0,
)


def export(folder: Path, weights: dict[str, Tensor], config: TransformerConfig) -> None:
    """Write what the server loads beside the VAE: weights in bf16, and the world's description."""
    halves = {name: weight.bfloat16().contiguous() for name, weight in weights.items()}
    partial = folder / "transformer.partial"
    save_file(halves, partial)
    partial.rename(folder / "transformer.safetensors")
    description = {
        "format": 1,
        "name": "embedded",
        "title": "Courtyard",
        "size": [WIDTH, HEIGHT],
        "transformer": asdict(config),
        "vae": json.loads((folder / "vae.json").read_text()),
        "text": asdict(EMBEDDED_TEXT),
        "rollout": asdict(EMBEDDED_ROLLOUT),
    }
    (folder / "world.json").write_text(json.dumps(description, indent=1) + "\n")
