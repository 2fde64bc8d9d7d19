"""Measure the released model's speed on a GPU, without its weights: gpu_bench.py OUT.

Every measurement runs in its own process, so a crash or a hang affects only that one. After each measurement,
results.json and results.md in OUT are written again.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import torch

from gpu.plan import MEASUREMENTS, ONCE, Outcome, carry_out
from gpu.setup import MINIATURE, RELEASED, Scale, Setup
from gpu.tables import render
from worldplay.world.device import choose_device

TIME_LIMIT_S = 480.0
ONE_LIMIT_S = 150.0  # for a measurement, building its model included
SENSIBLE_S = 5.0  # with less time left, no measurement is begun


def main(arguments: list[str]) -> int:
    """Carry out the plan, or one measurement of it. Returns: the exit code, 0 if none failed."""
    options = parse(arguments)
    scale = MINIATURE if options.miniature else RELEASED
    if options.only:
        return run_one(options.only, options.number, scale, options.device, options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    for outcome in run_all(scale, options):
        outcomes.append(outcome)
        summary = f"{outcome.name:10} {outcome.size:9} {outcome.status:11} {outcome.seconds:5.0f} s"
        print(summary, outcome.detail, flush=True)
        (options.out / "results.json").write_text(json.dumps([asdict(o) for o in outcomes], indent=1) + "\n")
        (options.out / "results.md").write_text(render(outcomes))
    return 1 if any(outcome.status == "failed" for outcome in outcomes) else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--miniature", action="store_true", help="use a tiny model, to try out the plan")
    parser.add_argument("--limit", type=float, default=TIME_LIMIT_S, help="seconds for everything [480]")
    parser.add_argument(
        "--only", choices=MEASUREMENTS, help="one measurement, in this process; OUT is a file"
    )
    parser.add_argument("--number", type=int, default=0, help="with --only: which of the sizes")
    return parser.parse_args(arguments)


def run_one(name: str, number: int, scale: Scale, device: str, out: Path) -> int:
    """Carry out a measurement here and write its outcome to a file."""
    torch.manual_seed(0)
    outcome = carry_out(name, Setup(scale, scale.sizes[number], choose_device(device)))
    out.write_text(json.dumps(asdict(outcome)))
    return 0


def run_all(scale: Scale, options: argparse.Namespace) -> Iterator[Outcome]:
    """Carry out the plan, each measurement in its own process, until the time is up."""
    ends = monotonic() + options.limit
    for name in MEASUREMENTS:
        for number in range(1 if name in ONCE else len(scale.sizes)):
            height, width = scale.sizes[number]
            left = ends - monotonic()
            if left < SENSIBLE_S:
                yield Outcome(name, f"{height}x{width}", "out of time", 0.0)
                continue
            yield run_apart(name, number, f"{height}x{width}", min(left, ONE_LIMIT_S), options)


def run_apart(name: str, number: int, size: str, limit_s: float, options: argparse.Namespace) -> Outcome:
    out = options.out / "outcome.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, __file__, str(out), "--only", name, "--number", str(number)]
    command += ["--device", options.device, *(["--miniature"] if options.miniature else [])]
    began = monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return Outcome(name, size, "failed", limit_s, detail=f"not done after {limit_s:.0f} s")
    seconds = monotonic() - began
    if not out.is_file():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Outcome(name, size, "failed", seconds, detail=f"exit code {done.returncode}: {last[:300]}")
    found = json.loads(out.read_text())
    out.unlink()
    return Outcome(**{**found, "seconds": seconds})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
