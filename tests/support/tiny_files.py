"""A world of random weights in a folder: a server of it, in a process of its own, computes little."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from support.tiny import TINY
from support.tiny_world import HEIGHT, ROLLOUT, VAE, WIDTH
from worldplay.model.config import VAEConfig
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.world.embedded.byte_t5 import ByteT5, TextConfig
from worldplay.world.embedded.manifest import Description

TEXT = TextConfig(d_model=8, d_kv=4, d_ff=16, num_heads=2, num_layers=1)
TRANSFORMER = replace(TINY, text_dim=TEXT.d_model, vision_dim=VAE.latent_channels)


def save_world(folder: Path, vae: VAEConfig = VAE, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """Write a world that `worldplay serve --model` takes. Returns: the folder."""
    torch.manual_seed(0)
    networks = {
        "transformer": WorldPlayTransformer(TRANSFORMER),
        "vae": StreamingVAE(vae),
        "text": ByteT5(TEXT),
    }
    for name, network in networks.items():
        weights = {key: weight.contiguous() for key, weight in network.named_parameters()}
        save_file(weights, folder / f"{name}.safetensors")
    description = Description(1, "tiny", "Tiny", size, TRANSFORMER, vae, TEXT, ROLLOUT)
    (folder / "world.json").write_text(json.dumps(asdict(description)))
    return folder
