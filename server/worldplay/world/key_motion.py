"""Turns pressed keys and looks into camera motions, and finds the latents that a tap moves."""

import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion


@dataclass(frozen=True, slots=True)
class Edge:
    """A change of the keyboard: exactly these keys are pressed from t_ms on."""

    t_ms: float
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Tap:
    """A key that was both pressed and released within the window."""

    key: str
    pressed_ms: float
    released_ms: float


def motion_of(keys: AbstractSet[str], look_yaw: float = 0.0, look_pitch: float = 0.0) -> Motion:
    """Return one latent's motion under these keys, plus a look in radians. Opposite keys cancel."""
    return Motion(
        forward=FORWARD_STEP * (("w" in keys) - ("s" in keys)),
        right=FORWARD_STEP * (("d" in keys) - ("a" in keys)),
        yaw=TURN_STEP * (("right" in keys) - ("left" in keys)) + look_yaw,
        pitch=TURN_STEP * (("up" in keys) - ("down" in keys)) + look_pitch,
    )


def tapped_keys(
    held_before: AbstractSet[str],
    edges: Sequence[Edge],
    start_ms: float,
    end_ms: float,
    num_latents: int,
) -> list[frozenset[str]]:
    """Return the keys whose taps move each latent of the next chunk.

    A key both pressed and released since the previous latch is a tap: it moves the latents whose share of the
    time it overlaps, at least one. A key held from before and released since moves none, because the previous
    chunk has already moved under it.

    Args:
        held_before: the keys pressed at start_ms.
        edges: in any order; those outside the window count as at its start or end.
        start_ms: the previous latch; end_ms: this one.
    """
    tapped: list[set[str]] = [set() for _ in range(num_latents)]
    for tap in _find_taps(held_before, sorted(edges, key=lambda edge: edge.t_ms)):
        for latent in _overlapped(tap, start_ms, end_ms, num_latents):
            tapped[latent].add(tap.key)
    return [frozenset(keys) for keys in tapped]


def _find_taps(held_before: AbstractSet[str], edges: Sequence[Edge]) -> Iterator[_Tap]:
    pressed_ms: dict[str, float] = {}
    held = held_before
    for edge in edges:
        for key in held - edge.keys:
            if key in pressed_ms:  # otherwise it was held from before the window: no tap
                yield _Tap(key, pressed_ms.pop(key), edge.t_ms)
        for key in edge.keys - held:
            pressed_ms[key] = edge.t_ms
        held = edge.keys


def _overlapped(tap: _Tap, start_ms: float, end_ms: float, num_latents: int) -> range:
    """Return the latents whose share of the window the tap overlaps; at least one."""
    if num_latents == 0 or end_ms <= start_ms:
        return range(min(num_latents, 1))
    per_ms = num_latents / (end_ms - start_ms)
    first = math.floor((tap.pressed_ms - start_ms) * per_ms)
    first = min(max(first, 0), num_latents - 1)
    end = math.ceil((tap.released_ms - start_ms) * per_ms)
    return range(first, min(max(end, first + 1), num_latents))
