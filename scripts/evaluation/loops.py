"""Loop closure: measures whether a view looks the same again, with and without parts of the context."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evaluation.lab import Lab, play
from evaluation.metrics import Frames, Scores, compare, psnr
from evaluation.report import Report, Row
from evaluation.routes import Loop, out_and_back, out_and_backwards, turn_round
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.variations import SERVED, Variation, recent_only, vary, without_retrieval
from evaluation.workers import Workers
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.views import VIEWPOINTS

LONGEST = 20  # steps out; 1.6 units
KINDS: tuple[Callable[[int], Loop], ...] = (
    lambda view: turn_round("turn right, key held", view, (3.0,)),
    lambda view: out_and_back(view, LONGEST),
    lambda view: turn_round("turn left, key held", view, (-3.0,)),
    lambda view: out_and_backwards(view, LONGEST),
    lambda view: turn_round("turn right, key tapped", view, (3.0, 0.0)),
    lambda view: turn_round("turn right, mouse, 7.5° a latent", view, (7.5,)),
)


@dataclass(frozen=True, slots=True)
class Return:
    """A second visit: its scores against the truth and against the first visit, and the first visit's PSNR
    against the truth; the frames of first visit, truth and second visit."""

    truth: Scores
    first: Scores
    first_truth_db: float
    frames: Frames  # [3, H, W, 3]


def measure(workers: Workers, scale: Scale) -> Report:
    """Make a row for each loop and memory, with means over start views."""
    world = workers.lab.world
    memories = (SERVED, without_retrieval(world), recent_only(world))
    kinds, views = range(scale.loop_kinds), range(scale.loop_views)
    jobs = [(kind, view, memory) for kind in kinds for memory in memories for view in views]
    results = dict(zip(jobs, workers.map("loops", run_loop, jobs), strict=True))
    rows: list[Row] = []
    for kind in kinds:
        for memory in memories:
            returns = [results[kind, view, memory] for view in views]
            rows.append(_row(KINDS[kind](0).route.name, memory.name, returns))
    for kind in kinds:
        _save_strip(workers, kind, {(v, m.name): results[kind, v, m] for v in views for m in memories})
    return Report(
        "Loop closure",
        f"Walks that return to a view, mean over {scale.loop_views} start views. The last four frames, "
        "standing still, are compared with the truth and with the frame generated at the first visit; "
        "PSNR in dB; half size: at half their sides. A turn is a full circle. "
        '"Quarter more": a quarter turn after it, to a view that is not in the first chunk, but most of '
        "which the latest latents have seen on the way. The model was not trained for contexts without the "
        'first chunk, as in "recent only".',
        rows,
        details={
            f"{KINDS[k](v).route.name}, {VIEWPOINTS[v].name}, {m.name}": [
                (r.truth.psnr, r.truth.gmsd, r.first.psnr, r.first_truth_db) for r in returns
            ]
            for (k, v, m), returns in results.items()
        },
    )


def run_loop(lab: Lab, kind: int, view: int, memory: Variation) -> list[Return]:
    """Walk one loop. Returns: its second visits."""
    loop = KINDS[kind](view)
    made = play(vary(lab.world, memory), loop.route).frames
    c2w = loop.route.c2w()
    returns = []
    for visit in loop.visits:
        stand = c2w[[visit.again - 1, visit.again]]  # the same pose twice
        truth, again = lab.truth(stand, LIGHTS[0])[-4:], made[4 * visit.again - 3 : 4 * visit.again + 1]
        first = np.broadcast_to(made[4 * visit.first], again.shape)
        frames = np.stack([first[-1], truth[-1], again[-1]])
        returns.append(Return(compare(again, truth), compare(again, first), psnr(first, truth), frames))
    return returns


def _row(name: str, memory: str, returns: list[list[Return]]) -> Row:
    row: Row = {"loop": name, "memory": memory}
    for number, same in enumerate(zip(*returns, strict=True)):
        where = "" if number == 0 else ", quarter more"
        row[f"true view{where}"] = float(np.mean([one.truth.psnr for one in same]))
        row[f"half size{where}"] = float(np.mean([one.truth.half_psnr for one in same]))
        row[f"sharpness{where}"] = float(np.mean([one.truth.sharpness for one in same]))
        row[f"first view{where}"] = float(np.mean([one.first.psnr for one in same]))
        row[f"first view, half size{where}"] = float(np.mean([one.first.half_psnr for one in same]))
        row[f"first to true{where}"] = float(np.mean([one.first_truth_db for one in same]))
    return row


def _save_strip(workers: Workers, kind: int, results: dict[tuple[int, str], list[Return]]) -> None:
    rows = {
        f"{VIEWPOINTS[view].name}\n{memory}": [frame for one in returns for frame in one.frames]
        for (view, memory), returns in results.items()
    }
    visits = len(next(iter(results.values())))
    save_strip(workers.strips / f"loop_{kind}.png", rows, ["first visit", "true", "again"] * visits)
