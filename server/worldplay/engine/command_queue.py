"""The commands of one session that wait for the worker, and when the first of them may be begun."""

from collections import deque

from worldplay.engine.session_commands import Command, Open, Prompt, Rewind

MAX_COMMANDS = 8
COMMAND_REST = 3.0  # after a command, its session begins no other for this many times as long as it took
MAX_COMMAND_REST_MS = 2000.0


class CommandQueue:
    """Commands in the order in which they are carried out. The session's lock guards them."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Command, float]] = deque()  # each with its time of arrival
        self._began_ms = 0.0
        self._rests_until_ms = 0.0  # no command is begun before

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Return whether the client may ask for nothing more; the server's own commands are always added."""
        return len(self._waiting) >= MAX_COMMANDS

    @property
    def has_change(self) -> bool:
        """Return whether a command waits that makes the chunk in progress useless."""
        return any(isinstance(command, Open | Rewind) for command, _ in self._waiting)

    @property
    def is_rewind_next(self) -> bool:
        return bool(self._waiting) and isinstance(self._waiting[0][0], Rewind)

    @property
    def num_staying(self) -> int | None:
        """Return how many of the walk's chunks stay after the rewinds that wait; None: all."""
        rewinds = [command.num_chunks for command, _ in self._waiting if isinstance(command, Rewind)]
        return min(rewinds, default=None)

    @property
    def due_ms(self) -> float:
        """Return when the first command may be begun. There must be one."""
        return max(self._waiting[0][1], self._rests_until_ms)

    def begin_at(self, now_ms: float) -> None:
        """Begin no command before this time."""
        self._rests_until_ms = max(self._rests_until_ms, now_ms)

    def add(self, command: Command, now_ms: float) -> None:
        self._waiting.append((command, now_ms))

    def add_first(self, command: Command, now_ms: float) -> None:
        self._waiting.appendleft((command, now_ms))

    def drop_newest_prompt(self) -> None:
        """Drop the newest command if it is a prompt, because another text follows."""
        if self._waiting and isinstance(self._waiting[-1][0], Prompt):
            self._waiting.pop()

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, now_ms: float) -> Command | None:
        self._began_ms = now_ms
        return self._waiting.popleft()[0] if self._waiting else None

    def mark_done(self, now_ms: float) -> None:
        """Note that the command taken last has ended. The next one waits, so that others get turns."""
        rest_ms = COMMAND_REST * (now_ms - self._began_ms)
        self._rests_until_ms = now_ms + min(rest_ms, MAX_COMMAND_REST_MS)
