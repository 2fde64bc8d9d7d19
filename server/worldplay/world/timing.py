"""Measures wall time by stage, waiting for the device after each."""

from time import perf_counter

import torch

from worldplay.world.device import synchronize


class Stopwatch:
    """Adds up wall time by stage.

    Each lap waits for the device. Otherwise a stage would only be queued: its time would count for the next
    one, and controls would be read before the stage is over.
    """

    def __init__(self, device: torch.device) -> None:
        self.laps_ms: dict[str, float] = {}
        self._device = device
        self.restart()

    def restart(self) -> None:
        self._since = perf_counter()

    def lap(self, stage: str) -> None:
        """Wait for the device, then count the time since the last lap or restart."""
        synchronize(self._device)
        now = perf_counter()
        self.laps_ms[stage] = self.laps_ms.get(stage, 0.0) + (now - self._since) * 1000.0
        self._since = now
