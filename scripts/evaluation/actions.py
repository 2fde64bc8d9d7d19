"""Measures whether each combination of keys moves as it should, by comparison with the truth of all."""

from dataclasses import dataclass

import numpy as np
from einops import rearrange
from numpy.typing import NDArray

from evaluation.lab import Lab, play
from evaluation.metrics import EQUAL_DB, Frames
from evaluation.report import Report, Row
from evaluation.routes import Route, freest_view, hold, keyboard
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.workers import Workers
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.views import VIEWPOINTS

NUM_TURNS = 9  # turn combinations, which vary fastest in keyboard()
PLAIN_KEYS = ("w", "s", "a", "d", "left", "right", "w left", "w right")


@dataclass(frozen=True, slots=True)
class Confusion:
    """For each combination: PSNR against its own truth, margin over the best other, and that other."""

    own_db: NDArray[np.float64]
    margin_db: NDArray[np.float64]
    rival: NDArray[np.int64]


def measure(workers: Workers, scale: Scale) -> Report:
    """Make one row: how many are right, and by how much. Name the confused ones."""
    names, chunks = keyboard(), scale.action_chunks
    view = freest_view(
        {view: [hold(view, keys, chunks) for keys in names] for view in range(len(VIEWPOINTS))}
    )
    routes = [hold(view, keys, chunks) for keys in names]
    held = list(range(0, len(names), scale.action_stride))
    truths = np.stack(workers.map("actions, true", run_truth, [(view, keys, chunks) for keys in names]))
    made = np.stack(workers.map("actions", run_action, [(view, names[i], chunks) for i in held]))
    confusion = confuse(made, truths, np.array(held), _end_alike(routes))
    _save_sheet(workers, names, held, truths, made)
    tried = [names[i] for i in held]
    rivals = [names[rival] for rival in confusion.rival]
    return Report(
        "What the keys do",
        f"{len(held)} of the {len(names)} combinations of keys, each held for {chunks} chunks from "
        f'"{VIEWPOINTS[view].title}" by day. The last four frames are compared with the true frames of all '
        f"{len(names)}. A combination is right if its own truth is the nearest. Margins in dB.",
        [_row(confusion, [routes[i].num_bumps() == 0 for i in held])],
        [*_judge_plain(tried, confusion), *_name_confused(tried, rivals, confusion)],
        _details(tried, rivals, confusion),
    )


def _end_alike(routes: list[Route]) -> NDArray[np.bool_]:
    """Return [M, M] whether two of the M routes end in the same pose."""
    ends = np.stack([route.c2w()[-1] for route in routes])
    alike: NDArray[np.bool_] = np.isclose(ends[:, None], ends[None], atol=1e-9).all(axis=(2, 3))
    return alike


def _row(confusion: Confusion, never_bumps: list[bool]) -> Row:
    margins, free = confusion.margin_db, np.array(never_bumps)
    return {
        "combinations": len(margins),
        "right": int((margins > 0).sum()),
        "never bump": int(free.sum()),
        "of these right": int((margins[free] > 0).sum()),
        "least margin": float(margins.min()),
        "median margin": float(np.median(margins)),
        "own truth": float(confusion.own_db.mean()),
    }


def _judge_plain(tried: list[str], confusion: Confusion) -> list[str]:
    """Say how many of the plain keys are right, if any was tried."""
    margins = [m for keys, m in zip(tried, confusion.margin_db, strict=True) if keys in PLAIN_KEYS]
    if not margins:
        return []
    right = sum(margin > 0 for margin in margins)
    return [f"{', '.join(PLAIN_KEYS)}: {right} of {len(margins)} right, least margin {min(margins):.1f} dB."]


def _name_confused(tried: list[str], rivals: list[str], confusion: Confusion) -> list[str]:
    wrong = [
        f"{keys} is nearer to {rival} by {-margin:.1f} dB."
        for keys, rival, margin in zip(tried, rivals, confusion.margin_db, strict=True)
        if margin <= 0
    ]
    return wrong or ["None is confused with another."]


def _details(tried: list[str], rivals: list[str], confusion: Confusion) -> dict[str, object]:
    columns = zip(tried, confusion.own_db.tolist(), confusion.margin_db.tolist(), rivals, strict=True)
    return {keys: {"own": own, "margin": margin, "rival": rival} for keys, own, margin, rival in columns}


def run_action(lab: Lab, view: int, keys: str, num_chunks: int) -> Frames:
    """Generate the last four frames of holding some keys."""
    return play(lab.world, hold(view, keys, num_chunks)).frames[-4:]


def run_truth(lab: Lab, view: int, keys: str, num_chunks: int) -> Frames:
    """Render the true ones of the same frames."""
    return lab.truth(hold(view, keys, num_chunks).c2w()[-2:], LIGHTS[0])[-4:]


def confuse(made: Frames, truths: Frames, own: NDArray[np.int64], equal: NDArray[np.bool_]) -> Confusion:
    """Compare every generated combination with every truth.

    Args:
        made: [N, F, H, W, 3]; truths: [M, F, H, W, 3]; own: [N] which truth each should be.
        equal: [M, M] whether two truths are the same, so that both count as a combination's own.
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
    """Save a picture: a true and a generated row for each step, a column for each turn."""
    white = np.full_like(truths[0, -1], 255)
    generated = {i: frames[-1] for i, frames in zip(held, made, strict=True)}
    turns, rows = names[:NUM_TURNS], dict[str, list[Frames]]()
    for first in range(0, len(names), NUM_TURNS):
        part = range(first, first + NUM_TURNS)
        step = names[first] or "no step"
        rows[f"{step}, true"] = [truths[i, -1] for i in part]
        rows[f"{step}, generated"] = [generated.get(i, white) for i in part]
    save_strip(workers.strips / "actions.png", rows, [turn or "no turn" for turn in turns])
