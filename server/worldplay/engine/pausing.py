"""Whether a session is paused, and the single chunks that it makes then."""

from collections import deque

MAX_WAITING_STEPS = 8


class Pausing:
    """The session's lock protects it."""

    def __init__(self) -> None:
        self.is_paused = False
        self._was_paused = False  # before a start that is not carried out yet
        self._steps: deque[float] = deque()  # when they were asked for, ms

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = self._was_paused = False
        self._steps.clear()

    def start(self) -> None:
        """Note that another walk was asked for. It is not paused."""
        self._was_paused, self.is_paused = self._was_paused or self.is_paused, False
        self._steps.clear()

    def mark_opened(self) -> None:
        self._was_paused = False

    def mark_refused(self) -> None:
        """Note that the start was refused: the walk before goes on, paused if it was."""
        self.is_paused, self._was_paused = self.is_paused or self._was_paused, False

    def add_step(self, now_ms: float) -> str | None:
        """Ask for one chunk. Returns: why that is not possible; None if it is."""
        if not self.is_paused:
            return "expected `pause` before `step`, got `step` while walking"
        if len(self._steps) >= MAX_WAITING_STEPS:
            return f"expected at most {MAX_WAITING_STEPS} steps waiting, got one more"
        self._steps.append(now_ms)
        return None

    @property
    def step_ms(self) -> float | None:
        """Return when the next step was asked for; None without one."""
        return self._steps[0] if self._steps else None

    def take_step(self, now_ms: float) -> None:
        """Note that a chunk is made; if it was a step, it is the first one."""
        if self._steps and self._steps[0] <= now_ms:
            self._steps.popleft()
