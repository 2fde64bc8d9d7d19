"""Standing still: measures whether the picture stays and is right, also where the start picture is silent."""

from dataclasses import dataclass

import numpy as np

from evaluation.lab import Lab, play
from evaluation.metrics import Frames, Scores, compare, mean_scores
from evaluation.report import Report, Row
from evaluation.routes import turn_and_stand
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.workers import Workers
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.views import VIEWPOINTS
from worldplay.world.frames import FRAMES_PER_LATENT as FRAMES

TURNS_DEG = (0, 90, 180)
CHUNKS = 15  # 10 s of standing
SETTLED = 3  # chunks that are not measured: context may still hold the turn
JUMP = 16  # levels of 255, in any channel


@dataclass(frozen=True, slots=True)
class Stand:
    """Ten seconds at one view: scores against the truth, and how much the picture changes.

    `within` and `between` are mean changes in levels of 255, from frame to frame of a latent, and from one
    latent to the next; `jumping` is the share of the pixels that then change by more than JUMP.
    """

    truth: Scores
    within: float
    between: float
    jumping: float
    frames: Frames  # [3, H, W, 3]: true, settled, last


def measure(workers: Workers, scale: Scale) -> Report:
    """Make a row for each turn and start view."""
    jobs = [(view, turn) for turn in TURNS_DEG for view in range(scale.stand_views)]
    stands = dict(zip(jobs, workers.map("standing", run_stand, jobs), strict=True))
    rows = [_row(f"{VIEWPOINTS[view].title}, {turn}°", [stand]) for (view, turn), stand in stands.items()]
    rows += [
        _row(f"mean, {turn}°", [stands[view, turn] for view in range(scale.stand_views)])
        for turn in TURNS_DEG
    ]
    save_strip(
        workers.strips / "standing.png",
        {f"{VIEWPOINTS[view].name}\n{turn}°": list(stand.frames) for (view, turn), stand in stands.items()},
        ["true", "settled", "last"],
    )
    return Report(
        "Standing still",
        f"A turn to the right with the key held, from a start view by day, then {CHUNKS} chunks of standing "
        f"still, of which the first {SETTLED} are not measured. PSNR in dB against the truth. Changes from "
        "frame to frame of a latent, and from one latent to the next, of which six are shown each second: "
        f"mean of all pixels, in levels of 255; and the share of pixels that then change by more than {JUMP} "
        "levels. The true picture does not change.",
        rows,
    )


def run_stand(lab: Lab, view: int, turn_deg: int) -> Stand:
    """Turn, and stand."""
    route = turn_and_stand(view, turn_deg, CHUNKS)
    chunks = play(lab.world, route).chunks[-(CHUNKS - SETTLED) :]
    frames = np.concatenate(chunks)
    truth = np.broadcast_to(lab.truth(route.c2w()[-2:], LIGHTS[0])[-1], frames.shape)
    change = np.abs(np.diff(frames.astype(np.int16), axis=0))
    means, ends = change.mean(axis=(1, 2, 3)), np.arange(FRAMES - 1, len(change), FRAMES)
    return Stand(
        compare(frames, truth),
        float(np.delete(means, ends).mean()),
        float(means[ends].mean()),
        float((change[ends].max(axis=3) > JUMP).mean()),
        np.stack([truth[0], frames[0], frames[-1]]),
    )


def _row(name: str, stands: list[Stand]) -> Row:
    scores = mean_scores([stand.truth for stand in stands])
    return {
        "view": name,
        "PSNR": scores.psnr,
        "half size": scores.half_psnr,
        "sharpness": scores.sharpness,
        "change in a latent": float(np.mean([stand.within for stand in stands])),
        "from latent to latent": float(np.mean([stand.between for stand in stands])),
        "pixels that jump": f"{100 * float(np.mean([stand.jumping for stand in stands])):.2f} %",
    }
