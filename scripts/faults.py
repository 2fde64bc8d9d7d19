"""Do to a real server what may happen to it, and print a table of what it survived.

python scripts/faults.py [--short] [--only "tiny messages" --only sigterm]

A walker plays all the while and must not notice. The exit code is 1 if a fault was not survived. The short
form takes about two minutes, the full one half an hour. Use a machine that can serve two walkers.
"""

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from fault_bench.bench import Row, render, run_faults, try_fault
from fault_bench.endings import ENDINGS
from fault_bench.faults import FAULTS
from fault_bench.proofs import PROOFS

ALONE = ENDINGS | PROOFS  # each on servers of its own
LEAST_SHOWN = 0.9  # of the time, in which the other walker's video must move


def main(arguments: list[str]) -> int:
    """Returns: the exit code."""
    options = parse(arguments)
    wanted = [name for name in [*FAULTS, *ALONE] if is_wanted(name, options.only)]
    with tempfile.TemporaryDirectory() as folder:
        rows = run(wanted, Path(folder), options.short)
    print(render(rows))
    return 0 if all(row.survived for row in rows) else 1


def run(names: list[str], folder: Path, is_short: bool, least_shown: float = LEAST_SHOWN) -> list[Row]:
    """Run these faults: first those on a common server, then those on servers of their own.

    In the short form these run side by side.
    """
    common = [name for name in names if name in FAULTS]
    rows = run_faults(common, folder, is_short, least_shown) if common else []
    alone = [name for name in names if name in ALONE]
    with ThreadPoolExecutor(max(1, len(alone)) if is_short else 1) as pool:
        return rows + list(pool.map(partial(_run_alone, folder, is_short), alone))


def _run_alone(folder: Path, is_short: bool, name: str) -> Row:
    own = folder / name
    own.mkdir()
    return Row(name, try_fault(partial(ALONE[name], own, is_short)))


def is_wanted(name: str, only: list[str]) -> bool:
    return not only or any(part.lower() in name.lower() for part in only)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="fewer and shorter attacks")
    parser.add_argument(
        "--only", action="append", default=[], help="a part of a fault's name; may be given again"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
