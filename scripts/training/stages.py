"""The stages of training the embedded world, as each rank runs them."""

import json
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file

from training.data import DRILL_SEED, HELD_OUT_SEED, render_walks
from training.export import seal
from training.latents import encode_walks, fingerprint_vae, prepare_latents
from training.progress import say_each
from training.prompt_book import PromptBook, read_prompts
from training.samples import load_latents
from training.text_stage import EMBEDDED_TEXT, load_text, train_text
from training.transformer_stage import Plan, Trainer
from training.vae_stage import VAEStage, train_vae
from worldplay.model.config import VAEConfig
from worldplay.model.vae import StreamingVAE
from worldplay.world.device import choose_dtype
from worldplay.world.embedded.byte_t5 import ByteT5
from worldplay.world.embedded.text_encoder import TextReader

WALK_LATENTS = 64
HELD_OUT_WALKS, HELD_OUT_LATENTS = 12, 44


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    stages: list[str]
    folder: Path
    processes: int
    device: str
    walks: int
    drills: int
    vae_minutes: float
    minutes: float
    rate: float
    nice: int
    start: Path | None

    @property
    def training_seeds(self) -> list[int]:
        return [*range(self.walks), *range(DRILL_SEED, DRILL_SEED + self.drills)]

    @property
    def held_out_seeds(self) -> list[int]:
        return list(range(HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT_WALKS))

    @property
    def seeds(self) -> list[int]:
        return [*self.held_out_seeds, *self.training_seeds]

    @property
    def walk_folder(self) -> Path:
        return self.folder / "walks"

    @property
    def latent_folder(self) -> Path:
        return self.folder / "latents"


def _missing(folder: Path, seeds: list[int]) -> list[int]:
    """List the walks of this rank's share that are not in the folder yet."""
    mine = seeds[dist.get_rank() :: dist.get_world_size()]
    return [seed for seed in mine if not (folder / f"{seed}.npy").exists()]


def render_stage(options: Options) -> None:
    """Render held-out and training walks."""
    for seeds, length in (
        (options.held_out_seeds, HELD_OUT_LATENTS),
        (options.training_seeds, WALK_LATENTS),
    ):
        missing = _missing(options.walk_folder, seeds)
        say_each("rendered", render_walks(options.walk_folder, missing, length), len(missing))


def vae_stage(options: Options) -> None:
    """Train the autoencoder; its weights are exported along the way."""
    start = options.start and options.start / "vae.safetensors"
    train_vae(VAEStage(options.walk_folder, options.folder, options.vae_minutes, options.device, start))
    _seal(options)


def text_stage(options: Options) -> None:
    """Train the text encoder."""
    train_text(options.folder, options.start and options.start / "text.safetensors")
    _seal(options)


def _seal(options: Options) -> None:
    if dist.get_rank() == 0:
        seal(options.folder)


def reuse_stage(options: Options) -> None:
    """Copy the text encoder and the autoencoder of an earlier version."""
    assert options.start is not None, "the command line asks for it"
    if dist.get_rank() == 0:
        options.folder.mkdir(parents=True, exist_ok=True)
        for name in ("text.safetensors", "vae.safetensors"):
            copyfile(options.start / name, options.folder / name)
        config = json.loads((options.start / "world.json").read_text())["vae"]
        (options.folder / "vae.json").write_text(json.dumps(config, indent=1))
    _seal(options)


def latents_stage(options: Options) -> None:
    """Encode every walk with the trained VAE."""
    vae = load_vae(options.folder, options.device)
    if dist.get_rank() == 0:
        prepare_latents(vae, options.latent_folder, fingerprint_vae(options.folder))
    dist.barrier()
    missing = _missing(options.latent_folder, options.seeds)
    say_each("encoded", encode_walks(vae, options.walk_folder, options.latent_folder, missing), len(missing))


def load_vae(folder: Path, device: str) -> StreamingVAE:
    """Load the exported VAE, in bf16 where the hardware multiplies it."""
    vae = StreamingVAE(VAEConfig(**_read_config(folder / "vae.json")))
    vae.load_state_dict(load_file(folder / "vae.safetensors"))
    return vae.to(device, choose_dtype(torch.device(device))).requires_grad_(False).eval()


def load_prompts(folder: Path, seed: int = 0) -> PromptBook:
    """Draw prompts by a seed, and encode them with the trained text encoder."""
    reader = TextReader(ByteT5(EMBEDDED_TEXT))
    load_text(reader, folder / "text.safetensors")
    return read_prompts(reader, seed)


def _read_config(path: Path) -> dict[str, Any]:
    fields = json.loads(path.read_text())
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def transformer_stage(options: Options) -> None:
    """Train the transformer; its weights are exported along the way."""
    walks, held_out = (
        load_latents(options.walk_folder, options.latent_folder, seeds)
        for seeds in (options.training_seeds, options.held_out_seeds)
    )
    # If training begins with a good version, contexts are generated earlier.
    generated_from = 0.6 if options.start is None else 0.3
    plan = Plan(
        seconds=60 * options.minutes,
        samples=10,
        muon_rate=options.rate * 3e-3,
        adam_rate=options.rate * 1.5e-3,
        generated_from=generated_from,
        generated_share=0.5,
        refresh_steps=100,
        refresh_walks=6,
        save_every_s=480,
        device=options.device,
        start=options.start and options.start / "transformer.safetensors",
    )
    Trainer(walks, held_out, load_prompts(options.folder), options.folder, plan).run()
