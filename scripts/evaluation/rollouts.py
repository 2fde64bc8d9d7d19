"""Measures long walks of a random player, against the truth and against simpler methods."""

from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.lab import Lab, by_chunk, play
from evaluation.metrics import MEASURES, Frames, Scores, compare
from evaluation.prompts import PLAIN
from evaluation.report import Report, Row
from evaluation.routes import held_out
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.variations import NO_CONTEXT, SERVED, Variation, recent_only, vary, without_retrieval
from evaluation.workers import Workers
from training.data import HELD_OUT_SEED
from training.vae_streams import reconstruct
from worldplay.world.courtyard.light import LIGHTS

COLUMNS = (0, 1, 2, 3, 5, 8, 10, 15, 20, 30, 39)
SHARPNESS_OF = (1, 2, 3, 10)
NAMES = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "gmsd": "GMSD",
    "sharpness": "sharpness",
    "half_psnr": "PSNR at half size",
    "half_sharpness": "sharpness at half size",
}
RATIOS = ("sharpness", "half_sharpness")
DAY, VAE_ALONE, REPEATED = LIGHTS[0], "VAE alone", "first frame repeated"
FLAT = "one colour a frame, the true mean"  # the score of an empty picture
MORE = replace(SERVED, name="as served, other walks")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One walk: by chunk the scores and the last frame."""

    scores: list[Scores]
    ends: Frames


Key = tuple[int, str, str]  # walk, light, method
Curves = dict[int, NDArray[np.float64]]  # by walk: PSNR of each chunk, in dB


def measure(workers: Workers, scale: Scale) -> Report:
    """Make a row for each measure and method, with columns for some of the chunks."""
    outcomes = _run(workers, scale)
    methods = list(dict.fromkeys((light, method) for _, light, method in outcomes))
    rows: list[Row] = []
    for measure in MEASURES:
        for light, method in methods:
            if measure == "psnr" or (light == DAY and method in (SERVED.name, VAE_ALONE, REPEATED)):
                rows.append(_row(outcomes, measure, light, method))
    _save_strips(workers, outcomes)
    seeds = f"{HELD_OUT_SEED} to {HELD_OUT_SEED + scale.rollout_walks - 1}"
    return Report(
        "Rollouts of a random player",
        f"Held-out walks of {scale.rollout_chunks} chunks, generated as the server does and compared with "
        f"the truth; the columns are chunks. The walks have seeds {seeds}, or the first of them if the "
        f'column "walks" has fewer; "other walks" are the {scale.more_walks} seeds after them. PSNR in dB, '
        "higher is better. GMSD: how much edges differ from the true ones, lower is better. Sharpness: "
        "gradient energy divided by the truth's, median of the walks. Half size: pictures are compared at "
        "half their sides.",
        rows,
        _findings(outcomes),
        {
            f"{index} {light} {method}": [asdict(score) for score in outcome.scores]
            for (index, light, method), outcome in outcomes.items()
        },
    )


def _run(workers: Workers, scale: Scale) -> dict[Key, Outcome]:
    day = range(scale.rollout_walks)
    references = workers.map("rollout references", run_references, [(i, scale.rollout_chunks) for i in day])
    outcomes = {(i, DAY, name): outcome for i in day for name, outcome in references[i].items()}
    jobs = [(i, DAY, SERVED, scale.rollout_chunks) for i in day]
    others = range(scale.rollout_walks, scale.rollout_walks + scale.more_walks)
    jobs += [(i, DAY, MORE, scale.more_chunks) for i in others]
    jobs += [
        (i, light, SERVED, scale.rollout_chunks) for light in LIGHTS[1:] for i in range(scale.light_walks)
    ]
    less = (without_retrieval(workers.lab.world), recent_only(workers.lab.world), NO_CONTEXT)
    jobs += [(i, DAY, how, scale.baseline_chunks) for how in less for i in range(scale.baseline_walks)]
    walks = workers.map("rollout", run_walk, jobs)
    return outcomes | {
        (i, light, how.name): walk for (i, light, how, _), walk in zip(jobs, walks, strict=True)
    }


def run_walk(lab: Lab, index: int, light: str, variation: Variation, num_chunks: int) -> Outcome:
    """Generate one held-out walk."""
    route = held_out(index, num_chunks)
    played = play(vary(lab.world, variation), route, {0: PLAIN[light]})
    return _judge(played.frames, lab.truth(route.c2w(), light))


def run_references(lab: Lab, index: int, num_chunks: int) -> dict[str, Outcome]:
    """Score what needs no transformer, by day: the VAE alone, the first frame repeated, one flat colour."""
    truth = lab.truth(held_out(index, num_chunks).c2w(), DAY)
    repeated = np.broadcast_to(truth[:1], truth.shape)
    flat = np.broadcast_to(truth.mean(axis=(1, 2), keepdims=True).round().astype(np.uint8), truth.shape)
    made = {VAE_ALONE: reconstruct(lab.world.vae, truth)[0], REPEATED: repeated, FLAT: flat}
    return {name: _judge(frames, truth) for name, frames in made.items()}


def _judge(frames: Frames, truth: Frames) -> Outcome:
    pairs = list(zip(by_chunk(frames), by_chunk(truth), strict=True))
    return Outcome([compare(*pair) for pair in pairs], np.stack([frames[-1] for frames, _ in pairs]))


def _select(outcomes: dict[Key, Outcome], light: str, method: str) -> dict[int, Outcome]:
    return {i: outcome for (i, *rest), outcome in outcomes.items() if rest == [light, method]}


def _row(outcomes: dict[Key, Outcome], measure: str, light: str, method: str) -> Row:
    walks = _select(outcomes, light, method).values()
    # At a plain wall the ratio can be of any size, so one walk could dominate a mean.
    middle = np.median if measure in RATIOS else np.mean
    means = middle([[getattr(score, measure) for score in walk.scores] for walk in walks], axis=0)
    shown = method if light == DAY else f"{method}, {light}"
    row: Row = {"measure": NAMES[measure], "": shown, "walks": len(walks)}
    return row | {f"{c}": float(means[c]) if c < len(means) else None for c in COLUMNS}


def _findings(outcomes: dict[Key, Outcome]) -> list[str]:
    served = _curves(outcomes, SERVED.name)
    found = [
        _early(outcomes, "psnr", "walks"),
        _early(outcomes, "half_psnr", "walks at half size"),
        _sharpness(outcomes),
        _drift(served),
        _below_vae(served, _curves(outcomes, VAE_ALONE)),
    ]
    for method in (REPEATED, FLAT, "no retrieval", "recent only", NO_CONTEXT.name):
        found.append(_above(method, served, _curves(outcomes, method)))
    return [sentence for sentence in found if sentence]


def _all_walks(outcomes: dict[Key, Outcome]) -> list[Outcome]:
    """Return the long and the short walks by day, as served."""
    return [walk for name in (SERVED.name, MORE.name) for walk in _select(outcomes, DAY, name).values()]


def _early(outcomes: dict[Key, Outcome], measure: str, walks: str) -> str | None:
    """Give the mean and the standard error of the first chunks, over long and short walks."""
    early = [np.mean([getattr(s, measure) for s in walk.scores[1:4]]) for walk in _all_walks(outcomes)]
    if len(early) < 2:
        return None
    error = np.std(early, ddof=1) / np.sqrt(len(early))
    return (
        f"Chunks 1 to 3 of all {len(early)} {walks}: {np.mean(early):.1f} dB, standard error {error:.1f} dB."
    )


def _sharpness(outcomes: dict[Key, Outcome]) -> str | None:
    """Give the sharpness over long and short walks: the median of a few may be a lucky one."""
    walks = [walk.scores for walk in _all_walks(outcomes)]
    shown = [chunk for chunk in SHARPNESS_OF if chunk < min(map(len, walks), default=0)]
    if len(walks) < 2 or not shown:
        return None
    values = [[scores[chunk].sharpness for chunk in shown] for scores in walks]
    rows = zip(shown, *np.quantile(values, (0.5, 0.25), axis=0), strict=True)
    parts = [f"chunk {chunk} {median:.2f}, {quarter:.2f}" for chunk, median, quarter in rows]
    said = f"their median, and below which a quarter of them are: {'; '.join(parts)}"
    return f"Sharpness of all {len(walks)} walks, {said}."


def _drift(served: Curves) -> str | None:
    mean = np.mean(list(served.values()), axis=0)
    if len(mean) <= 10:
        return None
    return (
        f"Drift: chunk {len(mean) - 1} is {mean[10] - mean[-1]:.1f} dB below chunk 10; "
        f"the mean of the last ten is {mean[10] - mean[-10:].mean():.1f} dB below it."
    )


def _below_vae(served: Curves, alone: Curves) -> str | None:
    if not alone:
        return None
    gap = np.mean([served[i] - curve for i, curve in alone.items()], axis=0)
    if len(gap) <= 10:
        return None
    return (
        f"Below VAE alone, for which walls are easier than the open court: {-gap[10]:.1f} dB at chunk 10, "
        f"{-gap[-1]:.1f} dB at chunk {len(gap) - 1}, {-gap[-10:].mean():.1f} dB over the last ten."
    )


def _above(method: str, served: Curves, other: Curves) -> str | None:
    """Give the gain over a simpler method, over the chunks that both have."""
    if not other:
        return None
    gain = np.mean([served[i][: len(curve)] - curve for i, curve in other.items()], axis=0)
    parts = {"chunks 3 to 9": gain[3:10], "the chunks from 10 on": gain[10:]}
    said = [f"{part.mean():+.1f} dB over {name}" for name, part in parts.items() if len(part)]
    return f"Above {method}, same walks: {', '.join(said)}." if said else None


def _curves(outcomes: dict[Key, Outcome], method: str) -> Curves:
    """Return the PSNR by chunk of each walk by day."""
    walks = _select(outcomes, DAY, method)
    return {i: np.array([score.psnr for score in walk.scores]) for i, walk in walks.items()}


def _save_strips(workers: Workers, outcomes: dict[Key, Outcome]) -> None:
    """Save one picture for every long walk and light."""
    for index, light in dict.fromkeys((index, light) for index, light, how in outcomes if how != MORE.name):
        rows = {method: o.ends for (i, name, method), o in outcomes.items() if (i, name) == (index, light)}
        num_chunks = len(rows[SERVED.name])
        truth = workers.lab.truth(held_out(index, num_chunks).c2w(), light)
        ends = np.stack([chunk[-1] for chunk in by_chunk(truth)])
        shown = [c for c in COLUMNS if c < num_chunks]
        frames = {
            name: [row[c] for c in shown if c < len(row)] for name, row in ({"true": ends} | rows).items()
        }
        save_strip(workers.strips / f"rollout_{index}_{light}.png", frames, [f"chunk {c}" for c in shown])
