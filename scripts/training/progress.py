"""Reports of a training run: lines with the time left, a JSON-lines log, curves."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt


def say_each(done: str, seeds: Iterable[int], total: int) -> None:
    """Process walks, and print a line with the time left for each; `done` is the verb, as in "rendered"."""
    began = time.monotonic()
    for count, seed in enumerate(seeds, 1):
        left_s = (time.monotonic() - began) / count * (total - count)
        print(f"{done} {seed} ({count} of {total})  {left_s / 60:.1f} min left", flush=True)


class Progress:
    """Logs numbers of a run; one object per run, on its first rank."""

    def __init__(self, folder: Path, stage: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"{stage}.jsonl"
        self._curves = folder / f"{stage}.png"

    def forget(self) -> None:
        """Delete the log, for a stage that cannot be resumed."""
        self._log.unlink(missing_ok=True)

    def report(self, step: int, share_done: float, spent_s: float, numbers: dict[str, float]) -> None:
        """Add a line to the log and to the terminal."""
        left_s = spent_s * (1 - share_done) / max(share_done, 1e-6)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        print(f"step {step}  {share_done:.1%}  {left_s / 60:.1f} min left  {shown}", flush=True)
        entry = {"step": step, "spent_s": round(spent_s, 1), "at": time.time(), **numbers}
        with self._log.open("a") as log:
            log.write(json.dumps(entry) + "\n")

    def draw(self) -> None:
        """Draw every number of the log over the steps."""
        entries = list(self._entries())
        names = sorted({name for entry in entries for name in entry} - {"step", "spent_s", "at"})
        figure, axes = plt.subplots(len(names), 1, figsize=(8, 2.2 * len(names)), squeeze=False)
        for axis, name in zip(axes[:, 0], names, strict=True):
            points = [(entry["step"], entry[name]) for entry in entries if name in entry]
            axis.plot(*zip(*points, strict=True))
            axis.set_ylabel(name)
            axis.grid(alpha=0.3)
        figure.tight_layout()
        figure.savefig(self._curves)
        plt.close(figure)

    def _entries(self) -> Iterator[dict[str, Any]]:
        for line in self._log.read_text().splitlines():
            with suppress(ValueError):  # a killed run may have left half a line
                yield json.loads(line)
