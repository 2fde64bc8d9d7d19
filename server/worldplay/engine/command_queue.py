"""The commands of one session that wait for the worker, and when the first of them may be begun."""

from collections import deque

from worldplay.engine.session_commands import Command, Copy, Open, Prepare, Prompt, Rest, Rewind

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
        """Return whether the client may ask for nothing more; the server's own commands do not count."""
        return sum(_is_request(command) for command, _ in self._waiting) >= MAX_COMMANDS

    @property
    def has_change(self) -> bool:
        """Return whether a command waits that makes the chunk in progress useless."""
        return any(isinstance(command, Open | Rewind) for command, _ in self._waiting)

    @property
    def has_open(self) -> bool:
        return any(isinstance(command, Open) for command, _ in self._waiting)

    @property
    def is_rewind_next(self) -> bool:
        return bool(self._waiting) and isinstance(self._waiting[0][0], Rewind)

    @property
    def num_staying(self) -> int | None:
        """Return how many of the walk's chunks stay after the rewinds that wait; None: all."""
        kept = [
            command.num_chunks if isinstance(command, Rewind) else command.num_staying
            for command, _ in self._waiting
            if isinstance(command, Open | Rewind)
        ]
        return min((num for num in kept if num is not None), default=None)

    @property
    def due_ms(self) -> float:
        """Return when the first command may be begun. There must be one."""
        return max(self._waiting[0][1], self._rests_until_ms)

    def begin_at(self, now_ms: float) -> None:
        """Begin no command before this time."""
        self._rests_until_ms = max(self._rests_until_ms, now_ms)

    def add(self, command: Command, now_ms: float) -> None:
        """Add what the client asks for."""
        self._waiting.append((command, now_ms))

    def add_rest(self, now_ms: float) -> None:
        """Save the walk after all that waits: one such command is enough, however often the client leaves."""
        self._drop(Rest)
        self._waiting.append((Rest(), now_ms))

    def add_prepare(self, now_ms: float) -> None:
        """Prepare the walk before all that waits, once."""
        self._drop(Prepare)
        self._waiting.appendleft((Prepare(), now_ms))

    def drop_newest_prompt(self) -> None:
        """Drop the client's newest request if it is a prompt, because another text follows."""
        requests = [entry for entry in self._waiting if _is_request(entry[0])]
        if requests and isinstance(requests[-1][0], Prompt):
            self._waiting.remove(requests[-1])

    def drop_requests(self) -> None:
        """Drop what the client asked of its walk. Copies stay, and what the walk needs if it has to go on."""
        self._waiting = deque(entry for entry in self._waiting if _is_for_the_walk(entry[0]))

    def _drop(self, kind: type[Rest | Prepare]) -> None:
        self._waiting = deque(entry for entry in self._waiting if not isinstance(entry[0], kind))

    def take(self, now_ms: float) -> Command | None:
        self._began_ms = now_ms
        return self._waiting.popleft()[0] if self._waiting else None

    def mark_done(self, now_ms: float) -> None:
        """Note that the command taken last has ended. The next one waits, so that others get turns."""
        rest_ms = COMMAND_REST * (now_ms - self._began_ms)
        self._rests_until_ms = now_ms + min(rest_ms, MAX_COMMAND_REST_MS)


def _is_request(command: Command) -> bool:
    """Return whether the client asked for this; the server adds the others itself."""
    return not isinstance(command, Rest | Prepare)


def _is_for_the_walk(command: Command) -> bool:
    """Return whether a walk needs this to go on, or is kept by it, whatever its client asks for meanwhile."""
    is_restored = isinstance(command, Open) and command.request.is_saved
    return not _is_request(command) or isinstance(command, Copy) or is_restored
