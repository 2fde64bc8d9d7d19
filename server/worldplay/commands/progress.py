"""Prints a clip's progress to stderr, for terminals and for logs."""

import time
from collections.abc import Callable
from typing import TextIO

EVERY_S = 1.0
_REWRITE = "\r\x1b[K"  # go to the line's beginning and clear it


class Progress:
    """Writes the progress about once a second; nothing for a clip that is done sooner.

    A terminal has one line, which is rewritten. A log gets a new line each time, more rarely the longer the
    clip takes, so that a clip of an hour does not add thousands of lines.
    """

    def __init__(
        self, num_frames: int, num_passes: int, out: TextIO, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            num_passes: how often `step` will be called: once for each pass of the network.
        """
        self._num_frames = num_frames
        self._num_passes = num_passes
        self._out = out
        self._now_s = now_s
        self._began_s = self._written_s = now_s()
        self._passes = 0
        self._is_terminal = out.isatty()
        self._is_line_open = False

    def step(self, frames_done: int) -> None:
        """Count a pass of the network; `frames_done` frames are written by now."""
        self._passes += 1
        now_s = self._now_s()
        pause_s = EVERY_S if self._is_terminal else max(EVERY_S, (now_s - self._began_s) / 100)
        if now_s - self._written_s >= pause_s:
            self._write(self._describe(frames_done, now_s - self._began_s))
            self._written_s = now_s

    def close(self) -> None:
        """End the line, so that other output starts on a new one."""
        if self._is_line_open:
            self._out.write("\n")
            self._is_line_open = False

    def _describe(self, frames_done: int, elapsed_s: float) -> str:
        share = self._passes / self._num_passes
        rate = share * self._num_frames / elapsed_s
        left = _format_duration(elapsed_s * (1 / share - 1))
        return f"{frames_done} of {self._num_frames} frames, {share:.0%}, {rate:.1f} frames/s, {left} left"

    def _write(self, text: str) -> None:
        self._out.write(f"{_REWRITE}{text}" if self._is_terminal else f"{text}\n")
        self._out.flush()
        self._is_line_open = self._is_terminal


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
