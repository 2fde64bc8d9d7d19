"""Trains the embedded world's autoencoder on streams. Runs in every rank."""

import json
import math
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from enum import Enum, auto
from itertools import chain
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from training.export import write_description
from training.masters import Masters, Recipe
from training.progress import Progress
from training.vae_streams import (
    Piece,
    StreamPlan,
    Videos,
    draw_pieces,
    load_held_out,
    psnr,
    reconstruct,
    save_strip,
)
from worldplay.model.config import VAEConfig
from worldplay.model.vae import StreamingVAE
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.device import choose_dtype
from worldplay.world.embedded.compact_weights import read_all

EMBEDDED_VAE = VAEConfig(
    pixel_patch=4,  # with 2 and one level more a step took twice as long, and a decode nearly three times
    latent_channels=32,
    encoder_channels=(48, 64, 64),
    encoder_layers=1,
    decoder_channels=(128, 64, 32, 16),
    decoder_layers=1,
    spatial_compression=4,
    temporal_compression=4,
    scaling_factor=1.0,  # measured in training
    still=True,
    shrink=2,
    sharpen=True,
)

PARTS = StreamPlan(num_streams=8, frames_per_piece=8, longest=8, height=96, width=160)  # of each rank
WHOLE = StreamPlan(num_streams=2, frames_per_piece=8, longest=12, height=192, width=320)
GPU_STREAMS = 16  # times as many streams, for one GPU
WHOLE_FROM = 0.5  # of the time; until then, crops of many streams give steadier gradients
ENCODER_FROM = 0.05  # until then a trained encoder waits for a new decoder
ENCODER_UNTIL = 0.6  # then the latents are fixed, and only the decoder is trained
DECAY_FROM = 0.4
WARMUP_STEPS = 40
NOISE = 0.5  # the most on latents, whose spread is over 1, to prepare for the transformer's errors
SIZE_WEIGHT = 2e-3  # of the latents' mean square; with fixed noise this is the whole of the KL term
EDGE_WEIGHT, SQUARE_WEIGHT = 0.5, 1.0
CONTRAST_WEIGHT = 4.0  # 2 is softer; from 6 on edges are stepped
WINDOWS = (4, 8)  # pixels
_FLAT = 1e-4  # square of a slope that cannot be seen; keeps the root's gradient finite
SAVE_EVERY_S = 30.0
EXPORT_EVERY_S = 200.0  # takes seconds, which count as training
HELD_OUT_WALKS, HELD_OUT_FRAMES = len(LIGHTS), 129  # one in each light


def _by_muon(name: str, weight: Tensor) -> bool:
    """The matrices, except those that touch pixels."""
    return name.endswith("weight") and 3 * EMBEDDED_VAE.pixel_patch**2 not in weight.shape[:2]


RECIPE = Recipe(_by_muon, 1e-3, 1e-3, betas=(0.9, 0.95), weight_decay=0.0, clip=math.inf, average_decay=0.995)


@dataclass(frozen=True, slots=True)
class VAEStage:
    """Where the walks are, where the results go, and how long training takes in all."""

    walks: Path
    out: Path
    minutes: float
    device: str
    start: Path | None = None  # weights of an earlier version to begin with; None: from scratch


def train_vae(stage: VAEStage) -> None:
    """Train, or resume from vae.ckpt in stage.out. Write vae.safetensors and vae.json. For every rank."""
    trainer = Trainer(stage)
    trainer.resume()
    trainer.train()


class Known(Enum):
    """Which weights an earlier version provides."""

    NOTHING = auto()
    ENCODER = auto()  # its decoder has other widths
    ALL = auto()


def take_over(vae: StreamingVAE, path: Path) -> Known:
    """Load an earlier version's weights, as far as they fit."""
    weights = read_all(path)
    own = vae.decoder.state_dict()
    if all(weights.get(f"decoder.{name}", weight[:0]).shape == weight.shape for name, weight in own.items()):
        vae.load_state_dict(weights)
        return Known.ALL
    encoder = {name.removeprefix("encoder."): w for name, w in weights.items() if name.startswith("encoder.")}
    vae.encoder.load_state_dict(encoder)
    return Known.ENCODER


class Trainer:
    """One rank's part of a run. Encoder and decoder have separate masters: the encoder may be frozen."""

    def __init__(self, stage: VAEStage) -> None:
        torch.manual_seed(0)
        self._stage, self._rank = stage, dist.get_rank()
        self._vae = StreamingVAE(EMBEDDED_VAE)
        self._known = Known.NOTHING if stage.start is None else take_over(self._vae, stage.start)
        self._device = torch.device(stage.device)
        self._vae.to(self._device, choose_dtype(self._device))
        self._encoder_masters = Masters(self._vae.encoder, RECIPE)
        self._decoder_masters = Masters(self._vae.decoder, RECIPE)
        self._encoder, self._decoder = self._vae.new_encoder_state(), self._vae.new_decoder_state()
        self._step, self._spent_s, self._clock_s, self._frozen = 0, 0.0, 0.0, False
        self._encoder_learns = self._known is not Known.ENCODER
        self._progress = Progress(stage.out, "vae")

    @property
    def _share_done(self) -> float:
        return self._spent_s / (60 * self._stage.minutes)

    def train(self) -> None:
        """Train until the time is up. Then save and export, even if an earlier run has used up the time."""
        torch.manual_seed(100 * self._step + self._rank)
        self._clock_s = time.monotonic()
        saved_s = exported_s = self._spent_s
        for piece in self._draw():
            if self._share_done > ENCODER_UNTIL and not self._frozen:
                self._freeze_encoder()
            elif self._share_done > ENCODER_FROM and not self._frozen and not self._encoder_learns:
                self._encoder_learns = True
            self._learn(piece)
            if self._spent_s - saved_s > SAVE_EVERY_S:
                saved_s = self._spent_s
                self._save()
            if self._spent_s - exported_s > EXPORT_EVERY_S:
                exported_s = self._spent_s
                self._export()
        self._save()
        self._export()

    def _draw(self) -> Iterator[Piece]:
        """Yield pieces of the training streams: first of crops, then of whole frames."""
        videos = Videos(self._stage.walks, self._device)
        factor = GPU_STREAMS if self._device.type == "cuda" else 1
        for plan, until in ((PARTS, WHOLE_FROM), (WHOLE, 1.0)):
            wide = replace(plan, num_streams=factor * plan.num_streams)
            pieces = draw_pieces(videos, 10 * self._step + self._rank, wide)
            while self._share_done < until:
                yield next(pieces)

    def _learn(self, piece: Piece) -> None:
        if piece.starts:
            self._encoder, self._decoder = self._vae.new_encoder_state(), self._vae.new_decoder_state()
        losses = self._losses(piece.pixels)
        self._encoder, self._decoder = self._encoder.detach(), self._decoder.detach()
        torch.autograd.backward(losses["loss"])
        self._update()
        if self._rank == 0 and self._step % 10 == 0:
            self._report({name: value.item() for name, value in losses.items()})

    def _losses(self, pixels: Tensor) -> dict[str, Tensor]:
        with torch.set_grad_enabled(self._encoder_learns):
            mean = self._vae.encode_moments(pixels, self._encoder).float().chunk(2, dim=1)[0]
        amount = NOISE * torch.rand(len(mean), 1, 1, 1, 1, device=mean.device)
        decoded = self._vae.decode_raw(mean + amount * torch.randn_like(mean), self._decoder).float()
        error, parts = compare(decoded, pixels)
        size = mean.square().mean()
        loss = error + SIZE_WEIGHT * size
        return {"loss": loss, "size": size.detach()} | parts

    def _update(self) -> None:
        """Average gradients and clocks over the ranks, then step."""
        now = time.monotonic()
        elapsed_s, self._clock_s = now - self._clock_s, now
        learning = [self._decoder_masters, self._encoder_masters][: 2 if self._encoder_learns else 1]
        means_s = [masters.collect(elapsed_s)[0] for masters in learning]
        self._spent_s += means_s[0]
        for masters in learning:
            masters.update(self._step, self._rate_factor())
        self._step += 1

    def _rate_factor(self) -> float:
        warmup = min(1.0, (self._step + 1) / WARMUP_STEPS)
        return warmup * min(1.0, max(0.02, (1 - self._share_done) / (1 - DECAY_FROM)))

    def _freeze_encoder(self) -> None:
        """Replace the encoder by its running average, and stop training it."""
        self._frozen, self._encoder_learns = True, False
        self._encoder_masters.settle()

    def _report(self, numbers: dict[str, float]) -> None:
        self._progress.report(self._step, self._share_done, self._spent_s, numbers)

    def _export(self) -> None:
        """On rank 0, write the averaged weights with the scale of their latents, and measure them."""
        if self._rank:
            return
        began = time.monotonic()
        vae = self._averaged()
        halves = {name: value.contiguous().cpu() for name, value in vae.state_dict().items()}
        vae.to(choose_dtype(self._device))
        walks = load_held_out(self._stage.walks, HELD_OUT_WALKS, HELD_OUT_FRAMES)
        results = [reconstruct(vae, frames) for frames in walks]
        scale = self._known_scale() or 1 / torch.cat([latents for _, latents in results]).float().std().item()
        config = replace(EMBEDDED_VAE, scaling_factor=round(scale, 4))
        partial = self._stage.out / "vae.partial"
        save_file(halves, partial)
        partial.rename(self._stage.out / "vae.safetensors")
        write_description(self._stage.out / "vae.json", asdict(config))
        quality = torch.stack(
            [torch.from_numpy(psnr(o, f)) for (o, _), f in zip(results, walks, strict=True)]
        )
        by_light = dict(zip(LIGHTS, quality.mean(1).tolist(), strict=True))
        quality = quality.mean(0)
        numbers = {"held_out_first": quality[0].item(), "held_out": quality.mean().item()}
        ends = [end for end in (32, 64, 128) if end <= len(quality)]
        numbers |= {f"held_out_to_{end}": quality[end - 32 : end].mean().item() for end in ends}
        numbers |= {f"held_out_{light}": value for light, value in by_light.items()}
        self._report(numbers | {"scaling_factor": scale, "export_s": time.monotonic() - began})
        shown = [frame for frame in (0, 12, 40, 127) if frame < len(quality)]
        rows = chain.from_iterable((f[shown], o[shown]) for (o, _), f in zip(results, walks, strict=True))
        save_strip(self._stage.out / "vae_strip.png", list(rows))
        self._progress.draw()

    def _known_scale(self) -> float | None:
        """Return the scale of an earlier version's latents, if there is one: its transformer knows them."""
        if self._stage.start is None:
            return None
        description = json.loads((self._stage.start.parent / "world.json").read_text())
        return float(description["vae"]["scaling_factor"])

    def _averaged(self) -> StreamingVAE:
        """Return the running average as it is stored."""
        vae = deepcopy(self._vae).to(torch.bfloat16)
        vae.encoder.load_state_dict(self._encoder_masters.averaged_weights())
        vae.decoder.load_state_dict(self._decoder_masters.averaged_weights())
        return vae

    def _save(self) -> None:
        """On rank 0, write what a resumed run needs."""
        if self._rank:
            return
        state = {
            "step": self._step,
            "spent_s": self._spent_s,
            "frozen": self._frozen,
            "encoder": self._encoder_masters.state(),
            "decoder": self._decoder_masters.state(),
        }
        partial = self._stage.out / "vae.ckpt.partial"
        torch.save(state, partial)
        partial.rename(self._stage.out / "vae.ckpt")

    def resume(self) -> None:
        """Load vae.ckpt, if there is one."""
        path = self._stage.out / "vae.ckpt"
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        self._step, self._spent_s = state["step"], state["spent_s"]
        self._encoder_masters.load(state["encoder"])
        self._decoder_masters.load(state["decoder"])
        if state["frozen"]:
            self._freeze_encoder()


def compare(decoded: Tensor, pixels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of decoded clips [B, 3, F, H, W], and numbers to report."""
    edges, square = _edge_loss(decoded, pixels), F.mse_loss(decoded, pixels)
    contrast = _contrast_loss(decoded, pixels)
    loss = F.l1_loss(decoded, pixels) + EDGE_WEIGHT * edges + SQUARE_WEIGHT * square
    numbers = {"edges": edges, "contrast": contrast, "db": -10 * torch.log10(square / 4)}
    return loss + CONTRAST_WEIGHT * contrast, {name: number.detach() for name, number in numbers.items()}


def _edge_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return L1 of the differences of neighbours, so that blurred edges cost more than misplaced ones."""
    across = F.l1_loss(decoded.diff(dim=-1), pixels.diff(dim=-1))
    down = F.l1_loss(decoded.diff(dim=-2), pixels.diff(dim=-2))
    return across + down


def _contrast_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return L1 of the slopes' root mean square in windows.

    Where an edge lies is not certain, so by the other losses a blurred one is best. This one minds less
    where in a window it lies, and more that it is as steep as the true one.
    """
    losses = [F.l1_loss(_slopes(decoded, side), _slopes(pixels, side)) for side in WINDOWS]
    return torch.stack(losses).mean()


def _slopes(clips: Tensor, side: int) -> Tensor:
    """Return the root mean square of neighbours' differences in windows that overlap by half."""
    frames = clips.transpose(1, 2).flatten(0, 1)
    across, down = F.pad(frames.diff(dim=-1), (0, 1)), F.pad(frames.diff(dim=-2), (0, 0, 0, 1))
    squares = F.avg_pool2d(across.square() + down.square(), side, stride=side // 2)
    return (squares + _FLAT).sqrt()
