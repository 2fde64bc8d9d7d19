"""Checks every golden case on the device: in float32 by its tolerance, and how far bfloat16 is off."""

from collections.abc import Iterator
from pathlib import Path

import torch

import check_goldens
from goldens.cases import Place, read_manifest
from gpu.setup import FoundFaultError, Row, Setup

GOLDENS = Path(__file__).resolve().parents[2] / "tests" / "data" / "goldens"


def measure_goldens(setup: Setup) -> Iterator[Row]:
    """Check all cases in both dtypes, and sum up each. Raises: FoundFaultError naming those that failed."""
    manifest = read_manifest(GOLDENS)
    check_goldens.forbid_tf32()
    totals: list[Row] = []
    failed: list[str] = []
    for dtype in (torch.float32, torch.bfloat16):
        place, passed, largest = Place(setup.device, dtype), 0, 0.0
        for name in manifest.cases:
            row = check_goldens.check_case(manifest, name, place)
            passed, largest = passed + row.passed, max(largest, row.relative or 0.0)
            failed += [] if row.passed else [f"{name} in {dtype}"]
            yield _describe(row, dtype)
        case = f"all: {passed} of {len(manifest.cases)} passed"
        totals.append({"case": case, "dtype": str(dtype), "largest relative": largest})
    yield from totals
    if failed:
        count = 2 * len(manifest.cases)
        raise FoundFaultError(f"{len(failed)} of {count} checks failed: {', '.join(failed)}")


def _describe(row: check_goldens.Row, dtype: torch.dtype) -> Row:
    tolerance = row.tolerance if dtype == torch.float32 else "finite"
    described: Row = {"case": row.case, "dtype": str(dtype), "atol/rtol": tolerance}
    if row.error is not None and row.relative is not None:
        described |= {"largest error": row.error, "largest relative": row.relative}
    return described | {"verdict": "; ".join(row.failures)[:300] or "ok"}
