"""Measures an embedded world against its ground truth, along the path that is served.

Leaves results.json, results.md and strips/*.png in the folder; sections measured before stay in the results
until they are measured again. What is rendered is kept in the folder, too. Example, two CPU cores:

    python scripts/eval_world.py --folder .cache/eval --quick
    python scripts/eval_world.py --folder .cache/eval --only rollout loops --weights .cache/train
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from evaluation import actions, costs, loops, prompts, rollouts, vae
from evaluation.report import RESULTS, Report, merge, read_results, render
from evaluation.scale import FULL, QUICK, Scale
from evaluation.workers import Place, Workers, fingerprint, open_lab, side_by_side

SECTIONS: dict[str, Callable[[Workers, Scale], Report]] = {
    "vae": vae.measure,
    "rollout": rollouts.measure,
    "actions": actions.measure,
    "loops": loops.measure,
    "prompts": prompts.measure_prompts,
    "changes": prompts.measure_changes,
    "steps": costs.measure_steps,
    "precision": costs.measure_precision,
    "approximations": costs.measure_approximations,
}


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    if fault := _find_fault(options):
        print(f"eval_world.py: {fault}", file=sys.stderr)
        sys.exit(2)
    torch.set_num_threads(1)
    place = Place(options.weights, options.device, options.folder / "renders")
    try:
        open_lab(place)  # which is kept; a bad folder or device ends it before any process starts
    except (ValueError, OSError) as error:
        print(f"eval_world.py: {error}", file=sys.stderr)
        sys.exit(2)
    with side_by_side(place, options.folder / "strips", options.processes) as workers:
        evaluate(
            workers,
            options.only,
            QUICK if options.quick else FULL,
            options.folder,
            describe(workers, options),
        )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="for results and renders")
    parser.add_argument("--weights", default="embedded", help="folder with another world.json [the shipped]")
    parser.add_argument(
        "--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), help="sections [all]"
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: minutes")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each [2]; 1 for cuda")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N [cpu]")
    return parser.parse_args(arguments)


def _find_fault(options: argparse.Namespace) -> str | None:
    """What is wrong with the options, found before anything is measured."""
    if options.processes < 1:
        return f"--processes expects at least 1, got {options.processes}"
    if options.folder.exists() and not options.folder.is_dir():
        return f"--folder expects a folder, got the file {options.folder}"
    try:
        read_results(options.folder / RESULTS)
    except ValueError as error:
        return str(error)
    return None


def describe(workers: Workers, options: argparse.Namespace) -> dict[str, str]:
    """What the numbers depend on besides the method."""
    world = workers.lab.world
    return {
        "weights": fingerprint(options.weights),
        "size": f"{world.width}x{world.height}",
        "dtype": str(world.rollout.transformer.dtype).removeprefix("torch."),
        "device": world.device.type,
        "scale": "quick" if options.quick else "full",
    }


def evaluate(
    workers: Workers, sections: Sequence[str], scale: Scale, folder: Path, about: dict[str, str]
) -> None:
    """Measure sections one by one; results are written after each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in sections:
        began = time.monotonic()
        report = SECTIONS[name](workers, scale)
        results = merge(folder / RESULTS, about, name, report)
        (folder / "results.md").write_text(render(results, tuple(SECTIONS)))
        print(f"{name} took {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
