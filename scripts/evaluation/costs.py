"""Measures quality and time of other ways to compute: denoising steps, precision, memory, decoder."""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from evaluation.lab import SEED, Lab, Played, by_chunk, play
from evaluation.metrics import EQUAL_DB, Frames, Scores, compare, mean_scores, psnr
from evaluation.report import Report, Row
from evaluation.routes import held_out
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.variations import SERVED, Variation, vary
from evaluation.workers import Workers
from worldplay.model.config import MAX_CONTEXT
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.device import choose_dtype
from worldplay.world.steering import WalkRequest

STEPS = (1, 2, 4, 8)
POINTS = (128, 512, 2048, 32768)
TIMES = "Times are medians with one thread per process, several processes at once."


@dataclass(frozen=True, slots=True)
class Outcome:
    """One walk: by chunk the scores, the PSNR against the exact frames and the last frame; ms per chunk."""

    scores: list[Scores]
    exact_db: list[float]
    median_ms: float
    ends: Frames


def measure_steps(workers: Workers, scale: Scale) -> Report:
    """A row for each number of denoising steps."""
    ways = [Variation(f"{steps} steps", steps=steps) for steps in STEPS]
    outcomes = _run(workers, "steps", ways, scale.step_walks, scale.step_chunks)
    _save_strip(workers, "steps", {way.name: outcomes[way][0] for way in ways}, scale.step_chunks)
    return Report(
        "Denoising steps",
        f"{scale.step_walks} held-out walks by day, {scale.step_chunks} chunks, compared with the truth; "
        f"PSNR in dB. {TIMES}",
        [_row(way, outcomes[way]) for way in ways],
        details=_details(outcomes),
    )


def measure_precision(workers: Workers, scale: Scale) -> Report:
    """A row for float32 and one for bf16."""
    fast = choose_dtype(workers.lab.world.device) == torch.bfloat16
    walks, chunks = (scale.step_walks, scale.step_chunks) if fast else (1, scale.precision_chunks)
    ways = [Variation("float32", dtype=torch.float32), Variation("bf16", dtype=torch.bfloat16)]
    outcomes = _run(workers, "precision", ways, walks, chunks)
    rows = [_row(way, outcomes[way]) | {"to float32": _to_exact(outcomes[way])} for way in ways]
    _save_strip(workers, "precision", {way.name: outcomes[way][0] for way in ways}, chunks)
    note = "" if fast else " This machine has no fast bf16: few walks, and meaningless times."
    return Report(
        "Precision",
        f"{walks} held-out walks by day, {chunks} chunks, transformer and VAE in each precision, with "
        f"the same noise; PSNR in dB.{note}",
        rows,
        details=_details(outcomes),
    )


def measure_approximations(workers: Workers, scale: Scale) -> Report:
    """A row for the served way, and one for each approximation."""
    config = workers.lab.world.rollout.config
    ways = [SERVED, Variation("keys and values stored once", unrotated=True)]
    ways += [Variation(f"{count} selection points", num_points=count) for count in POINTS]
    ways += [
        Variation(f"context of {count} latents", memory_latents=count)
        for count in range(
            config.first_latents + config.recent_latents, MAX_CONTEXT + 1, config.chunk_latents
        )
        if count != config.memory_latents
    ]
    chunks = scale.approximation_chunks
    outcomes = _run(workers, "approximations", ways, scale.approximation_walks, chunks)
    rows = [_row(way, outcomes[way]) | {"to the served": _to_exact(outcomes[way])} for way in ways]
    _save_strip(workers, "approximations", {way.name: outcomes[way][0] for way in ways}, chunks)
    walks = [(index, chunks) for index in range(scale.approximation_walks)]
    again = workers.map("rewinds", run_rewind, walks)
    reach = workers.lab.world.vae.decoder_reach
    rows.append({"": f"decoder rebuilt from {reach} latents", "to the served": float(np.mean(again))})
    return Report(
        "Approximations",
        f'{scale.approximation_walks} held-out walks by day, {chunks} chunks; "as served" has a context of '
        f"{config.memory_latents} latents. PSNR in dB against the truth, and against the frames of "
        f'"as served" ({EQUAL_DB:.0f}: equal). The row of the rebuilt decoder is about the first chunk '
        f"after a rewind. {TIMES}",
        rows,
        details=_details(outcomes),
    )


def _run(
    workers: Workers, title: str, ways: list[Variation], num_walks: int, num_chunks: int
) -> dict[Variation, list[Outcome]]:
    """Run every way over the same walks, and compare the others with the first."""
    jobs = [(index, num_chunks, way) for index in range(num_walks) for way in ways]
    made = dict(zip(jobs, workers.map(title, run_walk, jobs), strict=True))
    return {
        way: [_judge(*made[i, num_chunks, way], made[i, num_chunks, ways[0]][0]) for i in range(num_walks)]
        for way in ways
    }


def _judge(played: Played, scores: list[Scores], exact: Played) -> Outcome:
    exact_db = [psnr(ours, theirs) for ours, theirs in zip(played.chunks, exact.chunks, strict=True)]
    return Outcome(scores, exact_db, played.median_ms(), np.stack([chunk[-1] for chunk in played.chunks]))


def run_walk(lab: Lab, index: int, num_chunks: int, way: Variation) -> tuple[Played, list[Scores]]:
    """Generate one held-out walk by day. Returns: the walk, and its scores by chunk."""
    route = held_out(index, num_chunks)
    played = play(vary(lab.world, way), route)
    truth = by_chunk(lab.truth(route.c2w(), LIGHTS[0]))
    return played, [compare(*pair) for pair in zip(played.chunks, truth, strict=True)]


def run_rewind(lab: Lab, index: int, num_chunks: int) -> float:
    """Return the PSNR between a walk's last chunk and the same chunk made again after a rewind."""
    route = held_out(index, num_chunks)
    live = lab.world.open_walk(WalkRequest(view=lab.world.views[route.view].name, seed=SEED))
    steering = route.steering()
    for _ in range(num_chunks):
        shown = np.concatenate(list(live.decode(live.begin_chunk(steering).finish())))
    live.truncate(num_chunks - 1)
    steering = route.steering(num_chunks - 1)
    again = np.concatenate(list(live.decode(live.begin_chunk(steering).finish())))
    return psnr(again, shown)


def _row(way: Variation, outcomes: list[Outcome]) -> Row:
    means = [mean_scores(scores) for scores in zip(*(outcome.scores for outcome in outcomes), strict=True)]
    whole = mean_scores(means)
    row: Row = {"": way.name, "all chunks": whole.psnr, "last chunk": means[-1].psnr}
    row |= {"SSIM": whole.ssim, "GMSD": whole.gmsd, "sharpness": whole.sharpness}
    return row | {"ms a chunk": round(float(np.median([outcome.median_ms for outcome in outcomes])))}


def _to_exact(outcomes: list[Outcome]) -> float:
    """Return the PSNR over all chunks together, in which equal chunks have no error."""
    db = np.array([outcome.exact_db for outcome in outcomes])
    error = np.where(db < EQUAL_DB, 10 ** (-db / 10), 0.0).mean()
    return float(-10 * np.log10(error)) if error else EQUAL_DB


def _details(outcomes: dict[Variation, list[Outcome]]) -> dict[str, object]:
    return {
        way.name: [
            {"scores": [asdict(score) for score in one.scores], "to_exact": one.exact_db} for one in walks
        ]
        for way, walks in outcomes.items()
    }


def _save_strip(workers: Workers, name: str, walks: dict[str, Outcome], num_chunks: int) -> None:
    truth = by_chunk(workers.lab.truth(held_out(0, num_chunks).c2w(), LIGHTS[0]))
    rows = {"true": [chunk[-1] for chunk in truth]} | {way: list(one.ends) for way, one in walks.items()}
    save_strip(workers.strips / f"{name}.png", rows, [f"chunk {c}" for c in range(num_chunks)])
