"""Check this implementation against a directory of golden cases: python scripts/check_goldens.py DIR.

The networks run on a device in float32, which the tolerances are for. In bfloat16 only errors are reported.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from goldens.cases import Case, GoldenError, Manifest, Place, load_case, read_manifest
from goldens.compare import compare
from goldens.rollout_cases import run_bidirectional, run_bidirectional_rollout, run_rollout
from goldens.transformer_cases import run_context, run_denoise, run_primitives, run_scheduler, run_text
from goldens.vae_cases import run_vae
from goldens.weights import check_rule
from goldens.world_cases import run_camera, run_cond, run_memory
from worldplay.world.device import choose_device

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

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    case: str
    outputs: int
    error: float | None
    relative: float | None
    tolerance: str
    failures: list[str]

    @property
    def passed(self) -> bool:
        return not self.failures


def check(directory: Path, place: Place) -> Iterator[Row]:
    """Check the weight rule and every case, in the manifest's order, at a place.

    Raises: GoldenError if there is no readable manifest.
    """
    manifest = read_manifest(directory)
    checks = manifest.weight_checks
    yield Row("weight_rule", len(checks), None, None, "exact", check_rule(checks))
    for name in manifest.cases:
        yield check_case(manifest, name, place)


@torch.inference_mode()
def check_case(manifest: Manifest, name: str, place: Place | None = None) -> Row:
    """Run and compare one case at a place; None: on the CPU in float32. Any error is a failure of its row."""
    tolerance = ""
    try:
        case = load_case(manifest, name, place)
        tolerance = f"{case.tolerance['atol']:g}/{case.tolerance['rtol']:g}"
        if case.kind not in _RUNNERS:
            raise GoldenError(f"unknown kind {case.kind!r}")
        verdict = compare(case, _RUNNERS[case.kind](case))
    except GoldenError as error:
        return Row(name, 0, None, None, tolerance, [str(error)])
    except Exception as error:  # one case's crash must not hide the verdict on the others
        logging.exception("case %s crashed", name)
        return Row(name, 0, None, None, tolerance, [f"{type(error).__name__}: {error}"])
    errors = verdict.largest_error, verdict.largest_relative
    return Row(name, verdict.num_outputs, *errors, tolerance, verdict.failures)


def main(arguments: list[str]) -> int:
    """Print the table. Returns: the exit code, 0 if every case passed."""
    options = parse(arguments)
    torch.set_num_threads(1)
    forbid_tf32()
    try:
        place = Place(choose_device(options.device), DTYPES[options.dtype])
        return _print_table(check(options.directory, place))
    except GoldenError as error:
        print(f"FAIL  {error}")
        return 1


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="folder with manifest.json")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N [cpu]")
    parser.add_argument("--dtype", default="float32", choices=DTYPES, help="of the networks [float32]")
    return parser.parse_args(arguments)


def forbid_tf32() -> None:
    """Let a GPU multiply float32 as such; by default convolutions use TF32, which rounds to 10 bits."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _print_table(rows: Iterator[Row]) -> int:
    print(f"{'case':32} {'outputs':>7} {'largest error':>13} {'relative':>9}  {'atol/rtol':>11}  verdict")
    num_failed = 0
    for row in rows:
        num_failed += not row.passed
        error, relative = ("-" if each is None else f"{each:.2e}" for each in (row.error, row.relative))
        verdict = "ok" if row.passed else "FAIL"
        print(f"{row.case:32} {row.outputs:7} {error:>13} {relative:>9}  {row.tolerance:>11}  {verdict}")
        for failure in row.failures:
            print(f"    {failure}")
    print(f"{num_failed} failed" if num_failed else "all passed")
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
