"""Measures wall time by stage, waiting for the device at the end of each."""

from time import perf_counter

import torch

from worldplay.world.device import synchronize


class Stopwatch:
    """Adds up wall time by stage.

    A lap waits for the device. Otherwise a stage would only be queued: its time would count for the next one,
    and controls would be read before the stage is over. Work that only the host does needs no waiting.
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
        self.lap_of_host(stage)

    def lap_of_host(self, stage: str) -> None:
        """Count the time since the last lap or restart, without waiting."""
        now = perf_counter()
        self.laps_ms[stage] = self.laps_ms.get(stage, 0.0) + (now - self._since) * 1000.0
        self._since = now
