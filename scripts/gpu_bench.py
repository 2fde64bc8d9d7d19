"""Measure the released model's speed on a GPU, without its weights: gpu_bench.py OUT.

Every measurement runs in its own process, so a crash or a hang affects only that one. The next process is
started while one measures, but only imports what it needs. After each measurement, results.json, results.md
and log.txt in OUT are written again. What a measurement found before it failed is kept.
"""

import argparse
import json
import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic

import torch

from gpu.apart import Apart
from gpu.plan import CHECKS, LIMIT_S, LIMITS_S, MEASUREMENTS, SCALING, Outcome, Step, carry_out, list_steps
from gpu.setup import MINIATURE, RELEASED, Scale, Setup
from gpu.tables import render
from worldplay.world.device import choose_device

TIME_LIMIT_S = 480.0
SENSIBLE_S = 5.0  # with less time left, no measurement is begun


def main(arguments: list[str]) -> int:
    """Carry out the plan, or one measurement of it. Returns: the exit code, 0 if none failed."""
    options = parse(arguments)
    if options.only and options.out.suffix == ".json":
        return run_one(options.only, options.number, options)
    return run_and_report(list_steps(scale_of(options)), options)


def scale_of(options: argparse.Namespace) -> Scale:
    return MINIATURE if options.miniature else RELEASED


def run_and_report(steps: list[Step], options: argparse.Namespace) -> int:
    """Carry out steps, and write what they found as it comes. Returns: the exit code, 0 if none failed."""
    options.out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    with closing(run_all(steps, options)) as found:
        for outcome in found:
            outcomes.append(outcome)
            summary = f"{outcome.name:13} {outcome.size:9} {outcome.status:11} {outcome.seconds:5.0f} s"
            print(summary, outcome.detail, flush=True)
            (options.out / "results.json").write_text(
                json.dumps([asdict(o) for o in outcomes], indent=1) + "\n"
            )
            (options.out / "results.md").write_text(render(outcomes))
    return 1 if any(outcome.status == "failed" for outcome in outcomes) else 0


def make_parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--miniature", action="store_true", help="use a tiny model, to try out the plan")
    parser.add_argument("--limit", type=float, default=TIME_LIMIT_S, help="seconds for everything [480]")
    return parser


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--only",
        choices=[*MEASUREMENTS, *SCALING, *CHECKS],
        help="one measurement, in this process; OUT is a .json file",
    )
    parser.add_argument("--number", type=int, default=0, help="with --only: which of the sizes")
    parser.add_argument("--wait", action="store_true", help="with --only: wait for a line on standard input")
    return parser.parse_args(arguments)


def run_one(name: str, number: int, options: argparse.Namespace) -> int:
    """Carry out a measurement here, and write its outcome to a file whenever it has found something."""
    scale = scale_of(options)
    if options.wait:
        sys.stdin.readline()
    torch.manual_seed(0)
    for outcome in carry_out(name, Setup(scale, scale.sizes[number], choose_device(options.device))):
        options.out.write_text(json.dumps(asdict(outcome)))
    return 0


def run_all(steps: list[Step], options: argparse.Namespace) -> Generator[Outcome, None, None]:
    """Carry out steps, each in its own process, until the time is up."""
    ends, ahead = monotonic() + options.limit, None
    try:
        for index, step in enumerate(steps):
            left = ends - monotonic()
            if left < SENSIBLE_S:
                yield Outcome(step.name, step.size, "out of time", 0.0)
                continue
            process = ahead or start(step, options)
            ahead = start(steps[index + 1], options) if index + 1 < len(steps) else None
            yield run_apart(step, min(left, LIMITS_S.get(step.name, LIMIT_S)), options, process)
    finally:
        if ahead is not None:
            ahead.end()


def start(step: Step, options: argparse.Namespace) -> Apart:
    """Start the process of a measurement, which waits."""
    arguments = [__file__, str(_outcome_file(options)), "--only", step.name, "--number", str(step.number)]
    miniature = ["--miniature"] if options.miniature else []
    return Apart([*arguments, "--wait", "--device", options.device, *miniature])


def run_apart(step: Step, limit_s: float, options: argparse.Namespace, process: Apart) -> Outcome:
    """Let a process measure. Returns: its outcome, or as much as it had found."""
    out = _outcome_file(options)
    out.unlink(missing_ok=True)
    began = monotonic()
    code = process.run(limit_s)
    seconds, log = monotonic() - began, process.read_log()
    with (options.out / "log.txt").open("a") as file:
        file.write(f"== {step.name} {step.size}\n{log[-100_000:]}\n")
    found = (
        Outcome(**json.loads(out.read_text())) if out.is_file() else Outcome(step.name, step.size, "", 0.0)
    )
    out.unlink(missing_ok=True)
    if code is None:
        return replace(found, status="failed", seconds=limit_s, detail=f"not done after {limit_s:.0f} s")
    if code != 0:
        last = (log.strip().splitlines() or ["no message"])[-1]
        return replace(found, status="failed", seconds=seconds, detail=f"exit code {code}: {last[:300]}")
    return replace(found, seconds=seconds)


def _outcome_file(options: argparse.Namespace) -> Path:
    out: Path = options.out / "outcome.json"
    return out


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
