"""The stages of training the embedded world, as each rank runs them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from training.compact import compact
from training.data import DRILL_SEED, HELD_OUT_SEED
from training.export import seal, write_description
from training.latent_walks import load_latents
from training.latents import encode_walks, fingerprint_vae, prepare_latents
from training.progress import say_each
from training.prompt_book import PromptBook, read_prompts
from training.text_stage import EMBEDDED_TEXT, load_text, train_text
from training.transformer_stage import Plan, Trainer
from training.vae_stage import VAEStage, train_vae
from training.walk_files import SHRINK, compile_look, make_drawer, render_walks
from worldplay.model.config import VAEConfig
from worldplay.model.vae import StreamingVAE
from worldplay.world.device import choose_dtype
from worldplay.world.embedded.byte_t5 import ByteT5
from worldplay.world.embedded.compact_weights import read_all
from worldplay.world.embedded.text_encoder import TextReader

WALK_LATENTS = 64
HELD_OUT_WALKS, HELD_OUT_LATENTS = 12, 44


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of the transformer's training is done at once."""

    samples: int
    refresh_steps: int
    refresh_walks: int
    save_every_s: float
    drawers: int


ON_CPU = Scale(samples=10, refresh_steps=100, refresh_walks=6, save_every_s=480, drawers=0)
ON_GPU = Scale(
    samples=128,  # 14 GB is kept for gradients
    refresh_steps=50,
    refresh_walks=64,
    save_every_s=90,
    drawers=min(8, max(1, (os.cpu_count() or 1) - 2)),
)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    stages: list[str]
    folder: Path
    processes: int
    device: str
    pictures: int
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
    def picture_folder(self) -> Path:
        return self.folder / "pictures"

    @property
    def latent_folder(self) -> Path:
        return self.folder / "latents"


def _missing(folder: Path, seeds: list[int]) -> list[int]:
    """List the walks of this rank's share that are not in the folder yet."""
    mine = seeds[dist.get_rank() :: dist.get_world_size()]
    return [seed for seed in mine if not (folder / f"{seed}.npy").exists()]


def picture_stage(options: Options) -> None:
    """Render the walks that train and measure the autoencoder, at the size shown."""
    for seeds, length in (
        (options.held_out_seeds, HELD_OUT_LATENTS),
        (options.training_seeds[: options.pictures], WALK_LATENTS),
    ):
        _render(options, options.picture_folder, seeds, length, SHRINK)


def render_stage(options: Options) -> None:
    """Render held-out and training walks."""
    for seeds, length in (
        (options.held_out_seeds, HELD_OUT_LATENTS),
        (options.training_seeds, WALK_LATENTS),
    ):
        _render(options, options.walk_folder, seeds, length, scale=1)


def _render(options: Options, folder: Path, seeds: list[int], length: int, scale: int) -> None:
    missing = _missing(folder, seeds)
    if not missing:
        return
    if options.device == "cpu":
        print(f"rendering {len(missing)} walks, the first for minutes: it compiles the renderer", flush=True)
        drawer, at_once = make_drawer(scale, "cpu", compile_look()), 1  # more leave a processor's cache
    else:
        drawer, at_once = make_drawer(scale, options.device), 64 // scale**2  # compiling would take longer
    say_each("rendered", render_walks(folder, missing, length, drawer, at_once), len(missing))


def vae_stage(options: Options) -> None:
    """Train the autoencoder; its weights are exported along the way."""
    start = options.start and options.start / "vae.safetensors"
    train_vae(VAEStage(options.picture_folder, options.folder, options.vae_minutes, options.device, start))
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
        write_description(options.folder / "vae.json", config)
    _seal(options)


def latents_stage(options: Options) -> None:
    """Encode every walk with the trained VAE."""
    vae = load_vae(options.folder, options.device)
    if dist.get_rank() == 0:
        prepare_latents(vae, options.latent_folder, fingerprint_vae(options.folder))
    dist.barrier()
    at_once = 1 if options.device == "cpu" else 32
    for seeds in (options.held_out_seeds, options.training_seeds):  # of one length each
        missing = _missing(options.latent_folder, seeds)
        encoded = encode_walks(vae, options.walk_folder, options.latent_folder, missing, at_once)
        say_each("encoded", encoded, len(missing))


def load_vae(folder: Path, device: str) -> StreamingVAE:
    """Load the exported VAE, in bf16 where the hardware multiplies it."""
    vae = StreamingVAE(VAEConfig(**_read_config(folder / "vae.json")))
    vae.load_state_dict(read_all(folder / "vae.safetensors"))
    return vae.to(device, choose_dtype(torch.device(device))).requires_grad_(False).eval()


def compact_stage(options: Options) -> None:
    """Store the autoencoder in 8 bits. It cannot be trained further from that."""
    if dist.get_rank() == 0:
        path = options.folder / "vae.safetensors"
        partial = path.with_suffix(".partial")
        save_file(compact(read_all(path)), partial)
        partial.rename(path)
    _seal(options)


def load_prompts(folder: Path) -> PromptBook:
    """Draw prompts, and encode them with the trained text encoder."""
    reader = TextReader(ByteT5(EMBEDDED_TEXT))
    load_text(reader, folder / "text.safetensors")
    return read_prompts(reader, seed=0)


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
    scale = ON_GPU if options.device.startswith("cuda") else ON_CPU
    plan = Plan(
        seconds=60 * options.minutes,
        samples=scale.samples,
        muon_rate=options.rate * 3e-3,
        adam_rate=options.rate * 1.5e-3,
        generated_from=generated_from,
        generated_share=0.5,
        refresh_steps=scale.refresh_steps,
        refresh_walks=scale.refresh_walks,
        save_every_s=scale.save_every_s,
        device=options.device,
        drawers=scale.drawers,
        start=options.start and options.start / "transformer.safetensors",
    )
    Trainer(walks, held_out, load_prompts(options.folder), options.folder, plan).run()
