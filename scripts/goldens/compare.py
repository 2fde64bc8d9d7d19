"""Compares a runner's outputs with those of its case, within the case's tolerance."""

import re
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from goldens.cases import Case, GoldenError

_CHUNK = 4  # latents per candidate of the memory selection


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a case: the largest errors over its outputs, and every output that is off.

    An output's relative error is its largest error divided by its largest expected number.
    """

    largest_error: float
    largest_relative: float
    num_outputs: int
    failures: list[str]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """|got - want| <= atol + rtol * |want|."""

    atol: float
    rtol: float


EXACT = Tolerance(0.0, 0.0)
FINITE = Tolerance(sys.float_info.max, 0.0)  # of what is not computed in float32: it is only reported


def compare(case: Case, got: dict[str, Tensor]) -> Verdict:
    """Compare every expected output; one that was not produced is a failure."""
    largest, relative, failures = 0.0, 0.0, []
    if not case.outputs:
        failures.append("the case expects no outputs at all")
    for name, want in case.outputs.items():
        if name not in got:
            failures.append(f"{name}: not produced")
            continue
        problem, error = _compare_output(case, name, got[name], want)
        largest = max(largest, error)
        relative = max(relative, error / (_largest(want) or 1.0))
        if problem:
            failures.append(f"{name}: {problem}")
    return Verdict(largest, relative, len(case.outputs), failures)


def _largest(want: Tensor) -> float:
    return want.double().abs().max().item() if want.numel() else 0.0


def tolerance_of(case: Case, output: str, want: Tensor) -> Tolerance:
    """Look up an output's tolerance: a rule for a part of its name, else the case's; integers are exact."""
    if case.place.dtype != torch.float32 and want.is_floating_point():
        return FINITE
    base = Tolerance(float(case.tolerance["atol"]), float(case.tolerance["rtol"]))
    for key, rule in case.tolerance.items():
        if key not in ("atol", "rtol") and key in output.split("."):
            return _special(key, rule, base)
    return base if want.is_floating_point() else EXACT


def _special(key: str, rule: Any, base: Tolerance) -> Tolerance:
    if isinstance(rule, int | float):
        return Tolerance(float(rule), base.rtol)
    text = str(rule)
    if text.startswith("exact"):
        return EXACT
    if match := re.match(r"atol\s+([0-9.eE+-]+)", text):
        return Tolerance(float(match[1]), base.rtol)
    raise GoldenError(f"unknown tolerance for {key!r}: {rule!r}")


def _compare_output(case: Case, name: str, got: Tensor, want: Tensor) -> tuple[str, float]:
    """Return what is wrong (empty: nothing), and the largest absolute error."""
    if got.shape != want.shape:
        return f"expected shape {list(want.shape)}, got {list(got.shape)}", 0.0
    if not want.is_floating_point() and got.is_floating_point():
        return f"expected {want.dtype}, got {got.dtype}", 0.0
    wide, wide_want = got.detach().cpu().double(), want.double()
    difference = (wide - wide_want).abs()
    error = difference.max().item() if difference.numel() else 0.0
    tolerance = tolerance_of(case, name, want)
    # NaN compares false, so it never passes.
    if bool((difference <= tolerance.atol + tolerance.rtol * wide_want.abs()).all()):
        return "", error
    if _is_near_tie(case, name, got, want):
        return "", 0.0
    return f"error {error:.3g} over atol {tolerance.atol:g} + rtol {tolerance.rtol:g}", error


def _is_near_tie(case: Case, name: str, got: Tensor, want: Tensor) -> bool:
    """Return whether a selection differs only by a candidate whose distance is equal within atol."""
    kind, _, start = name.partition(".")
    if kind != "selected" or not start.isdigit() or int(start) not in case.meta.get("near_ties", []):
        return False
    ours, theirs = _only(got, want), _only(want, got)
    if ours != list(range(ours[0], ours[0] + _CHUNK)) or len(theirs) != _CHUNK or ours[0] % _CHUNK:
        return False
    distances = case.outputs.get(f"distance.{start}")
    candidates = [first // _CHUNK - 1 for first in (ours[0], theirs[0])]  # they start at 4, 8, ...
    if distances is None or not all(0 <= candidate < len(distances) for candidate in candidates):
        return distances is None
    mine, other = distances[candidates].tolist()
    return bool(abs(mine - other) < case.tolerance["atol"])


def _only(one: Tensor, other: Tensor) -> list[int]:
    return sorted(set(one.tolist()) - set(other.tolist()))
