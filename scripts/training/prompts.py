"""Draws prompts such as people may write for one of the courtyard's lights."""

from collections.abc import Sequence

import numpy as np

from training.vocabulary import MOODS, OTHERS, PLACES, SIGNS, VERBS
from worldplay.world.courtyard.light import LIGHTS

TYPO_SHARE = 0.1
LONG_SHARE = 0.2  # of prompts: many words, few of them about the light


def draw_prompt(rng: np.random.Generator, is_long: bool) -> tuple[str, int]:
    """Draw a prompt. Returns: it, and its light as an index into LIGHTS."""
    light = int(rng.integers(len(LIGHTS)))
    sign = _pick(rng, SIGNS[LIGHTS[light]])
    if LIGHTS[light] == "day" and rng.random() < 0.4:
        text = _join(rng, _fill(rng)) if is_long else _without_sign(rng)
    elif is_long:
        text = _join(rng, [*_fill(rng), sign, *_fill(rng)])
    else:
        text = _with_sign(rng, sign)
    return _spell(rng, text), light


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _fill(rng: np.random.Generator) -> list[str]:
    """Draw phrases that say nothing about the light."""
    kinds = (OTHERS, PLACES, MOODS)
    return [_pick(rng, kinds[int(rng.integers(3))]) for _ in range(rng.integers(9))]


def _without_sign(rng: np.random.Generator) -> str:
    parts = [_pick(rng, choices) for choices in (OTHERS, PLACES, MOODS) if rng.random() < 0.5]
    rng.shuffle(parts)
    return _join(rng, parts)


def _with_sign(rng: np.random.Generator, sign: str) -> str:
    before: list[str] = []
    after: list[str] = []
    if rng.random() < 0.15:
        before.append(_pick(rng, VERBS))
    if rng.random() < 0.6:
        (before if rng.random() < 0.75 else after).append(_pick(rng, PLACES))
    for part in (_pick(rng, MOODS), _pick(rng, MOODS), _pick(rng, OTHERS)):
        if rng.random() < 0.25:
            (before if rng.random() < 0.4 else after).append(part)
    return _join(rng, [*before, sign, *after])


def _join(rng: np.random.Generator, parts: list[str]) -> str:
    text = (" " if rng.random() < 0.5 else ", ").join(parts)
    return text + _pick(rng, ("", "", ".", "!"))


def _spell(rng: np.random.Generator, text: str) -> str:
    """Sometimes make a typing error: drop a letter or swap two."""
    if len(text) < 6 or rng.random() > TYPO_SHARE:
        return text
    at = int(rng.integers(1, len(text) - 2))
    if rng.random() < 0.5:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
