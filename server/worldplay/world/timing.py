"""Wall time by stage, in which what a device was asked for is done and not only asked for."""

from time import perf_counter

import torch

from worldplay.world.device import synchronize


class Stopwatch:
    """Adds up wall time by stage.

    A stage that was only queued would cost nothing and the next one twice as much: whoever plans by these
    times, or reads controls when a stage is over, would be wrong.
    """

    def __init__(self, device: torch.device) -> None:
        self.laps_ms: dict[str, float] = {}
        self._device = device
        self.restart()

    def restart(self) -> None:
        self._since = perf_counter()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap or restart, when the device has done all of it."""
        synchronize(self._device)
        now = perf_counter()
        self.laps_ms[stage] = self.laps_ms.get(stage, 0.0) + (now - self._since) * 1000.0
        self._since = now
