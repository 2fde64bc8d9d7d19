"""Runs faults one after the other while somebody walks, and measures what the walker notices."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fault_bench.clients import Player
from fault_bench.faults import FAULTS, Bench
from fault_bench.server import FaultServer, Usage
from fault_bench.waiting import wait_until

LEAST_S = 5.0  # for which the walker is watched
SHORT_LEAST_S = 1.5  # in the short form
MOST_HEALTH_MS = 1000.0
SETTLE_S = 15.0  # for what a fault has left behind to be cleaned up
MORE_FILES, MORE_THREADS, MORE_TASKS = 1, 2, 2


@dataclass(frozen=True, slots=True)
class Row:
    """What one fault did."""

    name: str
    outcome: str
    shown: float | None = None  # share of the time in which the walker's video moved; None: nobody walked
    stalled_s: float = 0.0
    health_ms: float = 0.0  # afterwards
    more_mb: float = 0.0
    problem: str = ""

    @property
    def survived(self) -> bool:
        return not self.problem and not self.outcome.startswith("FAILED")


def run_faults(names: Sequence[str], folder: Path, is_short: bool, least_shown: float) -> list[Row]:
    """Run faults on one server, on which somebody walks all the time.

    Args:
        least_shown: the share of the time in which the walker's video must move.
    """
    server = FaultServer(folder, WORLDPLAY_MAX_QUEUED="60")
    player = Player(server.url, 24 * 3600)
    player.start()
    try:
        wait_until(lambda: player.visitor.num_frames > 48, 30)
        time.sleep(2)
        return [_run(name, Bench(server, is_short), player, least_shown) for name in names]
    finally:
        player.leave()
        server.stop()


def _run(name: str, bench: Bench, player: Player, least_shown: float) -> Row:
    visitor, server = player.visitor, bench.server
    before = server.usage()
    frames, stalled_s, began_s = visitor.num_frames, visitor.player.stalled_s, time.monotonic()
    outcome = try_fault(partial(FAULTS[name], bench))
    least_s = SHORT_LEAST_S if bench.is_short else LEAST_S
    time.sleep(max(0.5, least_s - (time.monotonic() - began_s)))
    stalled_s = visitor.player.stalled_s - stalled_s
    shown = 1 - stalled_s / (time.monotonic() - began_s)
    went_on = wait_until(lambda: visitor.num_frames > frames, SETTLE_S)
    wait_until(lambda: not _find_leak(before, server.usage()), SETTLE_S)
    after, health_ms = server.usage(), server.health_ms()
    problem = _find_leak(before, after)
    if player.ended:
        problem = f"the walker was ended: {player.ended}"
    elif shown < least_shown or not went_on:
        problem = f"the walker saw {visitor.num_frames - frames} frames"
    elif health_ms > MOST_HEALTH_MS:
        problem = "/health is slow"
    return Row(name, outcome, shown, stalled_s, health_ms, after.resident_mb - before.resident_mb, problem)


def try_fault(do: Callable[[], str]) -> str:
    """Return what became of a fault, also if it ends in an error."""
    try:
        return do()
    except Exception as error:  # noqa: BLE001  # whatever a server does is a result, and other faults follow
        return f"FAILED: {type(error).__name__}: {error}"


def _find_leak(before: Usage, after: Usage) -> str:
    if after.files > before.files + MORE_FILES:
        return f"{after.files - before.files} more open files"
    if after.threads > before.threads + MORE_THREADS:
        return f"{after.threads - before.threads} more threads"
    if after.tasks > before.tasks + MORE_TASKS:
        return f"{after.tasks - before.tasks} more tasks"
    return ""


def render(rows: Sequence[Row]) -> str:
    """Return a table."""
    lines = [
        "| fault | survived | the other walker saw | stalled | /health after | memory | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = " | | | "
        if row.shown is not None:
            cells = (
                f"{row.shown:.0%} | {row.stalled_s:.2f} s | {row.health_ms:.0f} ms | {row.more_mb:+.0f} MB"
            )
        note = "; ".join(filter(None, (row.problem, row.outcome)))
        survived = "yes" if row.survived else "NO"
        lines.append(f"| {row.name} | {survived} | {cells} | {note} |")
    return "\n".join(lines)
