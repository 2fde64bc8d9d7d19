"""Measure the released model's speed on a GPU, without its weights: gpu_bench.py OUT.

Every measurement runs in its own process, so a crash or a hang affects only that one. The next process is
started while one measures, but only imports what it needs. After each measurement, results.json, results.md
and log.txt in OUT are written again. What a measurement found before it failed is kept. A measurement that
finds a fault has failed as well. The exit code is 1 if any failed, or if nothing was measured.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic

import torch

from gpu.apart import Apart
from gpu.plan import CHECKS, LIMIT_S, LIMITS_S, MEASUREMENTS, SCALING, Step, carry_out, list_steps
from gpu.setup import MINIATURE, RELEASED, Outcome, Scale, Setup
from gpu.tables import render
from worldplay.commands.paths import check_writable
from worldplay.world.device import choose_device

TIME_LIMIT_S = 480.0
SENSIBLE_S = 5.0  # with less time left, no measurement is begun


def main(arguments: list[str]) -> int:
    """Carry out the plan, or one measurement of it. Returns: the exit code, see above."""
    options = parse(arguments)
    if options.only:
        if not options.wait:
            prepare(options.device)
        return run_one(options.only, options.number or 0, options)
    return run_and_report(list_steps(scale_of(options)), options)


def scale_of(options: argparse.Namespace) -> Scale:
    return MINIATURE if options.miniature else RELEASED


def run_and_report(
    steps: list[Step],
    options: argparse.Namespace,
    conclude: Callable[[list[Outcome]], list[Outcome]] = lambda outcomes: [],
) -> int:
    """Carry out steps, and write what they found as it comes.

    Args:
        conclude: returns what follows from all outcomes, which is written after them.
    Returns: the exit code: 0 if something was measured and nothing failed.
    """
    prepare(options.device, options.out)
    outcomes: list[Outcome] = []
    with closing(run_all(steps, options)) as found:
        for outcome in found:
            outcomes.append(outcome)
            summary = f"{outcome.name:13} {outcome.size:9} {outcome.status:11} {outcome.seconds:5.0f} s"
            print(summary, outcome.detail, flush=True)
            write_report(options.out, outcomes)
    write_report(options.out, [*outcomes, *conclude(outcomes)])
    statuses = {outcome.status for outcome in outcomes}
    return 0 if "ok" in statuses and "failed" not in statuses else 1


def prepare(device: str, folder: Path | None = None) -> None:
    """Check the device, and make the folder. If that is impossible, a sentence ends the process."""
    try:
        choose_device(device)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def write_report(folder: Path, outcomes: list[Outcome]) -> None:
    numbers = json.dumps([asdict(outcome) for outcome in outcomes], indent=1)
    (folder / "results.json").write_text(numbers + "\n")
    (folder / "results.md").write_text(render(outcomes))


def make_parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--miniature", action="store_true", help="use a tiny model, to try out the plan")
    parser.add_argument(
        "--limit", type=read_seconds, default=TIME_LIMIT_S, help="seconds for everything [%(default)g]"
    )
    return parser


def read_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"expected seconds over 0, got {text!r}")
    return seconds


def check_plan(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """Check the options of a plan. Wrong ones end the process with a sentence and exit code 2."""
    files = [path for path in (options.out, *options.out.parents) if path.is_file()]
    if files:
        parser.error(f"expected a folder, got the file {files[0]}")
    return options


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--only",
        choices=[*MEASUREMENTS, *SCALING, *CHECKS],
        help="one measurement, in this process; OUT is a .json file",
    )
    parser.add_argument("--number", type=int, help="with --only: which of the sizes [0]")
    parser.add_argument("--wait", action="store_true", help="with --only: wait for a line on standard input")
    options = parser.parse_args(arguments)
    return _check_one(parser, options) if options.only else _check_all(parser, options)


def _check_all(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    for option, value in (("--number", options.number), ("--wait", options.wait or None)):
        if value is not None:
            parser.error(f"{option} has no effect without --only")
    if options.out.suffix == ".json":
        parser.error(f"expected OUT to be a folder without --only, got {options.out}")
    return check_plan(parser, options)


def _check_one(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    last = len(scale_of(options).sizes) - 1
    if options.out.suffix != ".json":
        parser.error(f"expected OUT to be a .json file with --only, got {options.out}")
    if not 0 <= (options.number or 0) <= last:
        numbers = f"0 to {last}" if last else "0 with --miniature"
        parser.error(f"expected --number {numbers}, got {options.number}")
    try:
        check_writable(options.out)
    except OSError as error:
        parser.error(str(error))
    return options


def run_one(name: str, number: int, options: argparse.Namespace) -> int:
    """Carry out a measurement here, and write its outcome to a file whenever it has found something.

    Returns: the exit code, 0 if it was carried out and found no fault.
    """
    scale, found = scale_of(options), Outcome(name, "", "", 0.0)
    if options.wait:
        sys.stdin.readline()
    torch.manual_seed(0)
    for found in carry_out(name, Setup(scale, scale.sizes[number], choose_device(options.device))):
        write_outcome(options.out, found)
    print(found.name, found.size, found.status, found.detail)
    return 0 if found.status == "ok" else 1


def write_outcome(out: Path, outcome: Outcome) -> None:
    """Replace an outcome as a whole, because the process may end at any moment."""
    draft = out.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(outcome)))
    draft.replace(out)


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
    for left in (out, out.with_suffix(".draft")):
        left.unlink(missing_ok=True)
    if code is None:
        return replace(found, status="failed", seconds=limit_s, detail=f"not done after {limit_s:.0f} s")
    is_known = found.status == "ok" if code == 0 else code == 1 and found.status not in ("", "ok")
    if not is_known:
        last = (log.strip().splitlines() or ["no message"])[-1]
        return replace(found, status="failed", seconds=seconds, detail=f"exit code {code}: {last[:300]}")
    return replace(found, seconds=seconds)


def _outcome_file(options: argparse.Namespace) -> Path:
    out: Path = options.out / "outcome.json"
    return out


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
