"""Measures what cuts cost: chunks whose rest is generated again, because the keys changed after all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evaluation.lab import Lab, by_chunk, play
from evaluation.metrics import Frames, compare
from evaluation.report import Report, Row
from evaluation.routes import Route, held_out
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.workers import Workers
from training.chunks import CHUNK
from training.data import HELD_OUT_SEED
from worldplay.world.courtyard.light import LIGHTS

Cuts = Mapping[int, Sequence[int]]  # by chunk: how many of its latents each cut keeps


@dataclass(frozen=True, slots=True)
class Way:
    """A way to choose cuts."""

    name: str
    choose: Callable[[Route, int], Cuts]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One walk: PSNR by chunk, the cuts in each chunk on average, and the last frame of each."""

    psnr: NDArray[np.float64]
    cuts_per_chunk: float
    ends: Frames


def no_cuts(route: Route, index: int) -> Cuts:
    return {}


def every_chunk(route: Route, index: int) -> Cuts:
    rng = np.random.default_rng(index)
    return {c: [int(rng.integers(1, CHUNK))] for c in range(route.num_chunks)}


def key_changes(route: Route, index: int) -> Cuts:
    """Cut at every latent that another motion leads to than to the latent before."""
    cuts: dict[int, list[int]] = {}
    for latent, (before, after) in enumerate(pairwise(route.motions), start=2):
        chunk, kept = divmod(latent, CHUNK)
        if kept and before != after and chunk < route.num_chunks:
            cuts.setdefault(chunk, []).append(kept)
    return cuts


def every_latent(route: Route, index: int) -> Cuts:
    """Cut as often as a chunk can be cut. No walk is cut more; a mouse that moves cuts each chunk once."""
    return {c: list(range(1, CHUNK)) for c in range(route.num_chunks)}


WAYS = (
    Way("as served, without cuts", no_cuts),
    Way("every chunk cut at a random latent", every_chunk),
    Way("cut at every change of keys", key_changes),
    Way("cut at each latent", every_latent),
)


def measure(workers: Workers, scale: Scale) -> Report:
    """Make a row for each way to cut."""
    jobs = [(index, way, scale.cut_chunks) for way in range(len(WAYS)) for index in range(scale.cut_walks)]
    outcomes = workers.map("cuts", run_walk, jobs)
    psnr: dict[int, list[NDArray[np.float64]]] = {}
    counts: dict[int, list[float]] = {}
    for (_, way, _), outcome in zip(jobs, outcomes, strict=True):
        psnr.setdefault(way, []).append(outcome.psnr)
        counts.setdefault(way, []).append(outcome.cuts_per_chunk)
    ends = {WAYS[way].name: o.ends for (i, way, _), o in zip(jobs, outcomes, strict=True) if i == 0}
    titles = [f"chunk {chunk}" for chunk in range(scale.cut_chunks)]
    save_strip(workers.strips / "cuts.png", {name: list(row) for name, row in ends.items()}, titles)
    base = np.array(psnr[0])
    rows = [_row(WAYS[way].name, np.array(psnr[way]), base, counts[way]) for way in psnr]
    return Report(
        "Chunks that are cut",
        f"Held-out walks, seeds {HELD_OUT_SEED} to {HELD_OUT_SEED + scale.cut_walks - 1}, of "
        f"{scale.cut_chunks} chunks, compared with the truth, in dB. At each latch, a chunk or its rest was "
        "generated for the true motions up to the next cut, and from there on as if the last of them went "
        "on. The error is the standard error of the change over the walks.",
        rows,
        [],
        {WAYS[way].name: [curve.tolist() for curve in curves] for way, curves in psnr.items()},
    )


def run_walk(lab: Lab, index: int, way: int, num_chunks: int) -> Outcome:
    """Generate one walk by day."""
    route = held_out(index, num_chunks)
    cuts = WAYS[way].choose(route, index)
    played = play(lab.world, route, cuts=cuts)
    chunks = by_chunk(played.frames)
    pairs = zip(chunks, by_chunk(lab.truth(route.c2w(), LIGHTS[0])), strict=True)
    psnr = np.array([compare(*pair).psnr for pair in pairs])
    num_cuts = sum(len(kept) for kept in cuts.values())
    return Outcome(psnr, num_cuts / num_chunks, np.stack([frames[-1] for frames in chunks]))


def _row(name: str, psnr: NDArray[np.float64], base: NDArray[np.float64], counts: Sequence[float]) -> Row:
    change = (psnr - base).mean(axis=1)
    error = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else None
    return {
        "": name,
        "walks": len(psnr),
        "cuts per chunk": float(np.mean(counts)),
        "PSNR": float(psnr.mean()),
        "change": float(change.mean()),
        "error": None if error is None else float(error),
    }
