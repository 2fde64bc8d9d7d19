"""What a client does with its slot, and when it should give it to somebody who waits."""

import math
from dataclasses import dataclass
from typing import Literal

SILENT_S = 15.0  # without any message, although it was sent media; a page reports its playhead every 100 ms
ANSWER_S = 20.0  # for input, after a client was asked for some; ANSWER_MS of the page (words.ts)
PAUSED_S = 10.0  # paused, or hidden

Reason = Literal["silent", "paused", "idle", "turn"]


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """How long a client may keep its slot while others wait, and how many slots one address may keep."""

    idle_s: float = 120.0  # without any input
    visit_s: float = math.inf
    per_address: int = 0  # slots that one address keeps; 0: all but one


class Activity:
    """The moments at which a client did something. The session's lock protects it."""

    def __init__(self, now_ms: float) -> None:
        self._input_ms = now_ms
        self._heard_ms = now_ms
        self._slot_since_ms = now_ms
        self._handed_ms: float | None = None  # when media was last handed over since it has its slot
        self._stopped_ms: float | None = None  # since when it is paused or hidden
        self._is_holding = False  # any keys
        self._is_away = False  # there is no connection
        self._follows_until_ms = 0.0
        self._asked_ms: float | None = None  # when it was asked for input; of the worker alone

    @property
    def input_ms(self) -> float:
        return self._input_ms

    def note_input(self, now_ms: float) -> None:
        self._input_ms = self._heard_ms = now_ms

    def note_keys(self, are_held: bool, now_ms: float) -> None:
        self._is_holding = are_held
        self.note_input(now_ms)

    def note_trajectory(self, duration_s: float, now_ms: float) -> None:
        """Note that the client will be led for this long, without any more input."""
        self._follows_until_ms = now_ms + duration_s * 1000.0
        self.note_input(now_ms)

    def note_report(self, is_stopped: bool, now_ms: float) -> None:
        """Note a report of the player, and whether it is paused or hidden."""
        self._heard_ms = now_ms
        if not is_stopped:
            self._stopped_ms = None
        elif self._stopped_ms is None:
            self._stopped_ms = now_ms

    def note_away(self, is_away: bool, now_ms: float) -> None:
        """Note that the client has lost its connection, or is back."""
        self._is_away = is_away
        if not is_away:
            self.note_report(False, now_ms)
            self.note_keys(False, now_ms)

    def note_media(self, now_ms: float) -> None:
        self._handed_ms = now_ms

    def note_slot(self, now_ms: float) -> None:
        """Note that the client has got its slot."""
        self._slot_since_ms = now_ms
        self._handed_ms = self._asked_ms = None

    def ask(self, limits: SlotLimits, now_ms: float) -> bool:
        """Return whether the client should be asked for input now, and note that it is.

        It is if keys are held, or a trajectory is followed, for long without any other input.
        """
        is_led = self._is_holding or now_ms < self._follows_until_ms
        quiet_ms = now_ms - max(self._input_ms, self._slot_since_ms)
        if self._unanswered_ms is not None or not is_led or quiet_ms <= limits.idle_s * 1000.0:
            return False
        self._asked_ms = now_ms
        return True

    def forget_question(self) -> None:
        """Note that nobody waits any more."""
        self._asked_ms = None

    @property
    def _unanswered_ms(self) -> float | None:
        """Return when the client was asked; None: it was not, or has answered."""
        return None if self._asked_ms is None or self._input_ms >= self._asked_ms else self._asked_ms

    def find_reason(self, limits: SlotLimits, now_ms: float) -> Reason | None:
        """Return why the slot should go to somebody who waits; None if it should not."""
        if self._is_away:
            return "silent"
        since_ms = self._slot_since_ms
        heard_ms = max(self._heard_ms, since_ms, self._handed_ms or 0.0)
        if self._handed_ms is not None and now_ms - heard_ms > SILENT_S * 1000.0:
            return "silent"
        if self._stopped_ms is not None and now_ms - max(self._stopped_ms, since_ms) > PAUSED_S * 1000.0:
            return "paused"
        walked_ms = now_ms if self._is_holding else max(self._input_ms, self._follows_until_ms)
        if now_ms - max(walked_ms, since_ms) > limits.idle_s * 1000.0:
            return "idle"
        asked_ms = self._unanswered_ms
        if asked_ms is not None and now_ms - asked_ms > ANSWER_S * 1000.0:
            return "idle"
        return "turn" if now_ms - since_ms > limits.visit_s * 1000.0 else None
