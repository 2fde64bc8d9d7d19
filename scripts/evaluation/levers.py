"""Measures what makes chunks faster and changes the result: each lever of a tier by itself, and the tiers."""

from dataclasses import dataclass

import numpy as np

from evaluation.lab import Lab, Played, by_chunk, play
from evaluation.metrics import EQUAL_DB, Frames, compare, mean_scores, psnr
from evaluation.report import Report, Row
from evaluation.routes import Route, held_out, turn_round
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.variations import SERVED, Variation, vary
from evaluation.workers import Workers
from training.chunks import CHUNK
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.tier import TIERS, Tier
from worldplay.world.tiers import count_kept_bytes
from worldplay.world.world import World

CHUNKS = 20
SHOWN = (0, 1, 2, 3, 5, 8, 11, 14, 17, 19)  # chunks in the picture
LOOP_DEG = 6.0  # turned between latents: a full circle and a quarter take CHUNKS


@dataclass(frozen=True, slots=True)
class Outcome:
    """A walk: its PSNR against the truth and the exact path by chunk, its sharpness, times and pictures."""

    truth_db: list[float]
    exact_db: list[float]
    sharpness: float
    returned_db: float | None  # the last frame against the first frame generated there
    ms: dict[str, float]
    ends: Frames  # the last frame of the chunks SHOWN


def list_levers(steps: int) -> list[Variation]:
    """Return the exact way with so many steps, each lever alone, and every tier's levers together."""
    alone = [
        Variation("context kept, newest 8 encoded", encoded=8),
        Variation("context kept, newest 4 encoded", encoded=4),
        Variation("8-bit linears", eight_bit_linears=True),
        Variation("8-bit attention", eight_bit_attention=True),
        Variation(f"{steps // 2} steps", steps=steps // 2),
    ]
    tiers = [_as_variation(name, tier, steps) for name, tier in TIERS.items() if name != "exact"]
    return [SERVED, *alone, *tiers]


def _as_variation(name: str, tier: Tier, steps: int) -> Variation:
    return Variation(
        f"tier {name}",
        encoded=tier.newest,
        steps=steps // 2 if tier.halved_steps else None,
        eight_bit_linears=tier.eight_bits,
        eight_bit_attention=tier.eight_bits,
    )


def measure(workers: Workers, scale: Scale) -> Report:
    """Make a row for each lever."""
    ways = list_levers(workers.lab.world.rollout.config.steps)
    walks = [(index, False) for index in range(scale.lever_walks)]
    walks += [(view, True) for view in range(scale.lever_views)]
    jobs = [(index, loops, ways) for index, loops in walks]
    outcomes = workers.map("levers", run_walk, jobs)
    rows = [
        _row(way, [outcome[number] for outcome in outcomes], _count_bytes(workers.lab.world, way))
        for number, way in enumerate(ways)
    ]
    pictures = {way.name: list(one.ends) for way, one in zip(ways, outcomes[-1], strict=True)}
    save_strip(workers.strips / "levers.png", pictures, [f"chunk {chunk}" for chunk in SHOWN])
    return Report(
        "Levers of the tiers",
        f"{scale.lever_walks} held-out walks and {scale.lever_views} walks that turn a circle and a quarter, "
        f"by day, {CHUNKS} chunks each. PSNR in dB against the truth, against the frames of the exact way "
        f"({EQUAL_DB:.0f}: equal), and of the last frame against the first one generated at that view. "
        "Memory: weights of the transformer, its cache, and what is kept of one walk. Times are medians with "
        "one thread per process; those of 8-bit levers are not shown, because the arithmetic is emulated.",
        rows,
        details={way.name: [_details(outcome[n]) for outcome in outcomes] for n, way in enumerate(ways)},
    )


def run_walk(lab: Lab, index: int, loops: bool, ways: list[Variation]) -> list[Outcome]:
    """Walk one route in every way; the first is the exact one."""
    route, quarter = _choose_route(index, loops)
    truth = by_chunk(lab.truth(route.c2w()[: CHUNK * route.num_chunks], LIGHTS[0]))
    played = [play(vary(lab.world, way), route) for way in ways]
    outcomes = []
    for one in played:
        scores = [compare(*pair) for pair in zip(one.chunks, truth, strict=True)]
        exact = [psnr(*pair) for pair in zip(one.chunks, played[0].chunks, strict=True)]
        frames = one.frames
        returned = psnr(frames[-1], frames[4 * quarter]) if loops else None
        sharpness = mean_scores(scores).sharpness
        ends = np.stack([one.chunks[chunk][-1] for chunk in SHOWN])
        truth_db = [score.psnr for score in scores]
        outcomes.append(Outcome(truth_db, exact, sharpness, returned, _times(one), ends))
    return outcomes


def _choose_route(index: int, loops: bool) -> tuple[Route, int]:
    """Return a route of CHUNKS, and the latent after a quarter circle."""
    if not loops:
        return held_out(index, CHUNKS), 0
    loop = turn_round("turn right", index, (LOOP_DEG,))
    return loop.route, loop.visits[-1].first


def _times(played: Played) -> dict[str, float]:
    """Return median ms by stage, of chunks with a full context."""
    settled = played.timings_ms[4:]
    stages = {name: float(np.median([times[name] for times in settled])) for name in settled[0]}
    return stages | {"chunk": float(np.median([sum(times.values()) for times in settled]))}


def _count_bytes(world: World, way: Variation) -> int:
    varied = vary(world, way).rollout
    parts = [*varied.transformer.parameters(), *varied.transformer.buffers()]
    kept = 0
    if varied.keeping is not None:
        kept = min(varied.keeping.most, CHUNK * CHUNKS) * count_kept_bytes(world)
    return sum(part.nbytes for part in parts) + sum(cache.num_bytes for cache in varied.caches) + kept


def _row(way: Variation, outcomes: list[Outcome], num_bytes: int) -> Row:
    exact = np.concatenate([outcome.exact_db for outcome in outcomes])
    error = np.where(exact < EQUAL_DB, 10 ** (-exact / 10), 0.0).mean()
    returned = [outcome.returned_db for outcome in outcomes if outcome.returned_db is not None]
    row: Row = {
        "": way.name,
        "to the truth": float(np.mean([outcome.truth_db for outcome in outcomes])),
        "last chunk": float(np.mean([outcome.truth_db[-1] for outcome in outcomes])),
        "to the exact path": float(-10 * np.log10(error)) if error else EQUAL_DB,
        "return": float(np.mean(returned)),
        "sharpness": float(np.median([outcome.sharpness for outcome in outcomes])),
    }
    for stage in ("context", "denoise", "chunk"):
        emulated = way.eight_bit_linears or way.eight_bit_attention
        times = [outcome.ms[stage] for outcome in outcomes]
        row[f"ms {stage}"] = None if emulated else round(float(np.median(times)))
    return row | {"MB": round(num_bytes / 1e6, 1)}


def _details(outcome: Outcome) -> dict[str, object]:
    return {"truth": outcome.truth_db, "exact": outcome.exact_db, "returned": outcome.returned_db}
