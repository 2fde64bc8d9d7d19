"""Measures whether a prompt decides the light: others' prompts at the start, plain ones during a walk."""

import json
import re
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray

from evaluation.lab import Lab, by_chunk, play
from evaluation.metrics import Frames, psnr
from evaluation.report import Report, Row
from evaluation.routes import Route, held_out, hold
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.workers import Workers
from training.data import HELD_OUT_SEED
from training.vocabulary import SIGNS
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.views import VIEWPOINTS

PLAIN = {
    "day": "",
    "dusk": "the courtyard at dusk",
    "night": "the courtyard at night",
    "snow": "the courtyard in snow",
}
# Written by others, who had not seen the training vocabulary, after it was last changed: for each light
# seven short ones, then five of 35 to 44 words. After a change of the vocabulary with these in view, new ones
# are needed.
BLIND: dict[str, list[str]] = json.loads(Path(__file__).with_name("blind_prompts.json").read_text())
CHANGES = {
    "day": "clear blue sky and bright sun",
    "dusk": "the sun is going down",
    "night": "it is a dark night",
    "snow": "everything is covered in snow",
}
ROUTE = 0  # which held-out walk
START_CHUNKS, CHANGE_AT, CHANGED_CHUNKS = 4, 4, 4


@dataclass(frozen=True, slots=True)
class Seen:
    """PSNR of each chunk against the truth in each light [chunks, lights]; the last frame of each chunk."""

    db: NDArray[np.float64]
    ends: Frames
    true_ends: dict[str, Frames]  # by light

    def nearest(self, chunk: int) -> str:
        return LIGHTS[int(self.db[chunk].argmax())]

    def against(self, chunk: int, light: str) -> float:
        return float(self.db[chunk, LIGHTS.index(light)])


def measure_prompts(workers: Workers, scale: Scale) -> Report:
    """Make a row for each prompt."""
    wanted = [(light, words) for light in LIGHTS for words in (PLAIN[light], *BLIND[light][: scale.prompts])]
    route = held_out(ROUTE, START_CHUNKS)
    jobs = [(route, {0: words}) for _, words in wanted]
    walks = workers.map("prompts", run_prompts, jobs)
    rows: list[Row] = []
    for (light, words), seen in zip(wanted, walks, strict=True):
        row: Row = {"light": light, "prompt": f'"{words}"'}
        row |= {f"chunk {c}": seen.against(c, light) for c in range(START_CHUNKS)}
        rows.append(row | {"nearest at the end": seen.nearest(START_CHUNKS - 1)})
    strip: dict[str, list[Frames]] = {}
    for (light, words), seen in zip(wanted, walks, strict=True):
        strip.setdefault(f"{light}, true", list(seen.true_ends[light]))
        strip["\n".join([light, *wrap(words, 18)])] = list(seen.ends)
    save_strip(workers.strips / "prompts.png", strip, [f"chunk {c}" for c in range(START_CHUNKS)])
    blind = [row for (light, words), row in zip(wanted, rows, strict=True) if words != PLAIN[light]]
    taught = [row for row in blind if _holds_sign(str(row["prompt"]), str(row["light"]))]
    untaught = [row for row in blind if row not in taught]
    return Report(
        "Prompts from the start",
        f"The walk of seed {HELD_OUT_SEED + ROUTE}. PSNR in dB against the truth in the intended light, by "
        "chunk; and the light whose truth is nearest to the last chunk. The start image is always by day.",
        rows,
        [
            f"{_count_right(rows)} of {len(rows)} prompts end in the intended light. "
            f"Of the {len(blind)} that others wrote, {_count_right(blind)} do: {_count_right(taught)} of the "
            f"{len(taught)} that contain a phrase taught for that light, and {_count_right(untaught)} of "
            f"the other {len(untaught)}."
        ],
        {"db": [seen.db.tolist() for seen in walks]},
    )


def _count_right(rows: list[Row]) -> int:
    return sum(row["light"] == row["nearest at the end"] for row in rows)


def _holds_sign(prompt: str, light: str) -> bool:
    """Return whether a prompt contains a phrase that training uses for its light."""
    signs = "|".join(re.escape(sign) for sign in SIGNS[light])
    return re.search(rf"\b({signs})\b", prompt.casefold()) is not None


def measure_changes(workers: Workers, scale: Scale) -> Report:
    """Make a row for each change of the light, along a walk and standing at each start view."""
    num_chunks = CHANGE_AT + CHANGED_CHUNKS
    routes = {f"walk of seed {HELD_OUT_SEED + ROUTE}": held_out(ROUTE, num_chunks)}
    routes |= {f"standing: {view.title}": hold(at, "", num_chunks) for at, view in enumerate(VIEWPOINTS)}
    pairs = list(permutations(LIGHTS, 2))[:: -(-12 // scale.changes)]
    cases = [(place, old, new) for place in routes for old, new in pairs]
    jobs = [(routes[place], {0: CHANGES[old], CHANGE_AT: CHANGES[new]}) for place, old, new in cases]
    walks = workers.map("changes", run_prompts, jobs)
    rows: list[Row] = []
    for (place, old, new), seen in zip(cases, walks, strict=True):
        settled = [c for c in range(CHANGE_AT, num_chunks) if seen.nearest(c) == new]
        rows.append(
            {
                "place": place,
                "from": old,
                "to": new,
                "chunks until nearest": settled[0] - CHANGE_AT if settled else "never",
                "old light before": seen.against(CHANGE_AT - 1, old),
                "new light in the first chunk": seen.against(CHANGE_AT, new),
                "3 chunks later": seen.against(CHANGE_AT + 3, new),
            }
        )
    strip: dict[str, list[Frames]] = {}
    for (_, old, new), seen in zip(cases[: len(pairs)], walks, strict=False):
        before, after = (list(seen.true_ends[light]) for light in (old, new))
        strip[f"{old} to {new},\ntrue"] = before[:CHANGE_AT] + after[CHANGE_AT:]
        strip[f"{old} to {new}"] = list(seen.ends)
    save_strip(workers.strips / "changes.png", strip, [f"chunk {c}" for c in range(num_chunks)])
    return Report(
        "A change of the prompt during the walk",
        f"The prompt changes before chunk {CHANGE_AT}, for example "
        f'from "{CHANGES["day"]}" to "{CHANGES["night"]}". Chunks until the new light\'s truth is nearest '
        "(0: already in the first chunk after the change), and PSNR in dB against the truth. Training uses "
        "these words.",
        rows,
        details={"db": [seen.db.tolist() for seen in walks]},
    )


def run_prompts(lab: Lab, route: Route, prompts: dict[int, str]) -> Seen:
    """Walk with prompts, given by the chunk from which each applies."""
    chunks = play(lab.world, route, prompts).chunks
    truths = [by_chunk(lab.truth(route.c2w(), light)) for light in LIGHTS]
    db = [[psnr(chunk, truth[c]) for truth in truths] for c, chunk in enumerate(chunks)]
    true_ends = {light: _ends(truth) for light, truth in zip(LIGHTS, truths, strict=True)}
    return Seen(np.array(db), _ends(chunks), true_ends)


def _ends(chunks: list[Frames]) -> Frames:
    return np.stack([chunk[-1] for chunk in chunks])
