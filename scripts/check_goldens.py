"""Check this implementation against a directory of golden cases: python scripts/check_goldens.py DIR."""

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from goldens.cases import Case, GoldenError, Manifest, load_case, read_manifest
from goldens.compare import compare
from goldens.rollout_cases import run_bidirectional, run_bidirectional_rollout, run_rollout
from goldens.transformer_cases import run_context, run_denoise, run_primitives, run_scheduler, run_text
from goldens.vae_cases import run_vae
from goldens.weights import check_rule
from goldens.world_cases import run_camera, run_cond, run_memory

_RUNNERS: dict[str, Callable[[Case], dict[str, Tensor]]] = {
    "bi": run_bidirectional,
    "bi_rollout": run_bidirectional_rollout,
    "camera": run_camera,
    "cond": run_cond,
    "context": run_context,
    "denoise": run_denoise,
    "memory": run_memory,
    "primitives": run_primitives,
    "rollout": run_rollout,
    "scheduler": run_scheduler,
    "text": run_text,
    "vae": run_vae,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    case: str
    outputs: int
    error: float | None
    tolerance: str
    failures: list[str]

    @property
    def passed(self) -> bool:
        return not self.failures


def check(directory: Path) -> Iterator[Row]:
    """Check the weight rule and every case, in the manifest's order.

    Raises: GoldenError if there is no readable manifest.
    """
    manifest = read_manifest(directory)
    checks = manifest.weight_checks
    yield Row("weight_rule", len(checks), None, "exact", check_rule(checks))
    for name in manifest.cases:
        yield check_case(manifest, name)


@torch.inference_mode()
def check_case(manifest: Manifest, name: str) -> Row:
    """Run and compare one case. Any error is a failure of its row."""
    tolerance = ""
    try:
        case = load_case(manifest, name)
        tolerance = f"{case.tolerance['atol']:g}/{case.tolerance['rtol']:g}"
        if case.kind not in _RUNNERS:
            raise GoldenError(f"unknown kind {case.kind!r}")
        verdict = compare(case, _RUNNERS[case.kind](case))
    except GoldenError as error:
        return Row(name, 0, None, tolerance, [str(error)])
    except Exception as error:  # one case's crash must not hide the verdict on the others
        logging.exception("case %s crashed", name)
        return Row(name, 0, None, tolerance, [f"{type(error).__name__}: {error}"])
    return Row(name, verdict.num_outputs, verdict.largest_error, tolerance, verdict.failures)


def main(arguments: list[str]) -> int:
    """Print the table. Returns: the exit code, 0 if every case passed."""
    if len(arguments) != 1:
        print("usage: check_goldens.py DIR", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    try:
        return _print_table(check(Path(arguments[0])))
    except GoldenError as error:
        print(f"FAIL  {error}")
        return 1


def _print_table(rows: Iterator[Row]) -> int:
    print(f"{'case':32} {'outputs':>7} {'largest error':>13}  {'atol/rtol':>11}  verdict")
    num_failed = 0
    for row in rows:
        num_failed += not row.passed
        error = "-" if row.error is None else f"{row.error:.2e}"
        verdict = "ok" if row.passed else "FAIL"
        print(f"{row.case:32} {row.outputs:7} {error:>13}  {row.tolerance:>11}  {verdict}")
        for failure in row.failures:
            print(f"    {failure}")
    print(f"{num_failed} failed" if num_failed else "all passed")
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
