"""Whether every combination of keys does what it says: each is held, and compared with the truth of all."""

from dataclasses import dataclass

import numpy as np
from einops import rearrange
from numpy.typing import NDArray

from evaluation.lab import Lab, play
from evaluation.metrics import EQUAL_DB, Frames
from evaluation.report import Report, Row
from evaluation.routes import freest_view, hold, keyboard
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.workers import Workers
from worldplay.world.court import LIGHTS, START_VIEWS

NUM_TURNS = 9  # ways to turn, which vary fastest in keyboard()
PLAIN_KEYS = ("w", "s", "a", "d", "left", "right", "w left", "w right")


@dataclass(frozen=True, slots=True)
class Confusion:
    """Of each generated combination: PSNR against its own truth, lead over the best other, and that other."""

    own_db: NDArray[np.float64]
    margin_db: NDArray[np.float64]
    rival: NDArray[np.int64]


def measure(workers: Workers, scale: Scale) -> Report:
    """One row: how many are right, by how much; the confused ones by name."""
    names = keyboard()
    view = freest_view(
        {v: [hold(v, keys, scale.action_chunks) for keys in names] for v in range(len(START_VIEWS))}
    )
    routes = [hold(view, keys, scale.action_chunks) for keys in names]
    held = list(range(0, len(names), scale.action_stride))
    truths = np.stack(
        workers.map("actions, true", run_truth, [(view, keys, scale.action_chunks) for keys in names])
    )
    made = np.stack(workers.map("actions", run_action, [(view, names[i], scale.action_chunks) for i in held]))
    ends = np.stack([route.c2w()[-1] for route in routes])
    equal = np.isclose(ends[:, None], ends[None], atol=1e-9).all(axis=(2, 3))
    confusion = confuse(made, truths, np.array(held), equal)
    _save_sheet(workers, names, held, truths, made)
    margins = confusion.margin_db
    row: Row = {"combinations": len(held), "right": int((margins > 0).sum())}
    free = np.array([routes[i].num_bumps() == 0 for i in held])
    row |= {"never bump": int(free.sum()), "of these right": int((margins[free] > 0).sum())}
    row |= {"least margin": float(margins.min()), "median margin": float(np.median(margins))}
    row |= {"own truth": float(confusion.own_db.mean())}
    wrong = [
        f"{names[i]} is nearer to {names[rival]} by {-margin:.1f} dB."
        for i, rival, margin in zip(held, confusion.rival, margins, strict=True)
        if margin <= 0
    ]
    plain = [margin for i, margin in zip(held, margins, strict=True) if names[i] in PLAIN_KEYS]
    findings = [
        f"{', '.join(PLAIN_KEYS)}: {sum(margin > 0 for margin in plain)} of {len(plain)} right, "
        f"least margin {min(plain):.1f} dB."
    ] * bool(plain)
    return Report(
        "What the keys do",
        f"{len(held)} of the {len(names)} combinations held for {scale.action_chunks} chunks from "
        f'"{START_VIEWS[view].title}" by day; the last four frames '
        f"against the truth of all {len(names)}. Right: its own is the nearest. Margins in dB.",
        [row],
        findings + (wrong or ["None is confused with another."]),
        {
            names[i]: {"own": float(own), "margin": float(margin), "rival": names[rival]}
            for i, own, margin, rival in zip(held, confusion.own_db, margins, confusion.rival, strict=True)
        },
    )


def run_action(lab: Lab, view: int, keys: str, num_chunks: int) -> Frames:
    """The last four frames of holding some keys."""
    return play(lab.world, hold(view, keys, num_chunks)).frames[-4:]


def run_truth(lab: Lab, view: int, keys: str, num_chunks: int) -> Frames:
    """The same, true."""
    return lab.truth(hold(view, keys, num_chunks).c2w()[-2:], LIGHTS[0])[-4:]


def confuse(made: Frames, truths: Frames, own: NDArray[np.int64], equal: NDArray[np.bool_]) -> Confusion:
    """Compare all with all.

    Args:
        made: [N, F, H, W, 3]; truths: [M, F, H, W, 3]; own: [N] which truth each should be.
        equal: [M, M] truths that are the same; to be near one is to be near the other.
    """
    ours, theirs = (
        rearrange(frames, "n f h w c -> n (f h w c)").astype(np.float32) for frames in (made, truths)
    )
    squares = [np.square(ours - truth).mean(axis=1, dtype=np.float64) for truth in theirs]
    error = np.stack(squares, axis=1)  # [N, M]
    db = np.minimum(10 * np.log10(255**2 / np.maximum(error, 1e-9)), EQUAL_DB)
    others = np.where(equal[own], -np.inf, db)
    own_db = np.where(equal[own], db, -np.inf).max(axis=1)
    return Confusion(own_db, own_db - others.max(axis=1), others.argmax(axis=1))


def _save_sheet(workers: Workers, names: list[str], held: list[int], truths: Frames, made: Frames) -> None:
    """Ways to step below each other, each twice, true and generated; ways to turn side by side."""
    white = np.full_like(truths[0, -1], 255)
    generated = {i: frames[-1] for i, frames in zip(held, made, strict=True)}
    turns, rows = names[:NUM_TURNS], dict[str, list[Frames]]()
    for first in range(0, len(names), NUM_TURNS):
        part = range(first, first + NUM_TURNS)
        step = names[first] or "no step"
        rows[f"{step}, true"] = [truths[i, -1] for i in part]
        rows[f"{step}, generated"] = [generated.get(i, white) for i in part]
    save_strip(workers.strips / "actions.png", rows, [turn or "no turn" for turn in turns])
