"""Turns a client's keys, looks and trajectories into moves of the next latents; each is used once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Lock

from worldplay.world.key_motion import Edge, motion_of, tapped_keys
from worldplay.world.steering import Move

MAX_EDGES = 64  # between two latches; people make fewer, and of a flood only the newest matter


@dataclass(frozen=True, slots=True)
class ReceivedEdge(Edge):
    """A change of the pressed keys, with the client's own time of it."""

    sent_ms: float


@dataclass(frozen=True, slots=True)
class Latch:
    """When a chunk read its controls, and the seq of the newest message that they include.

    The seq is of the connection of that time; None: there was no message on it.
    """

    seq: int | None
    at_ms: float


def place_edges(edges: Sequence[ReceivedEdge], start_ms: float) -> list[ReceivedEdge]:
    """Estimate when keys really changed. The network may have delivered several messages at once.

    If an edge was sent 80 ms before another one, it happened at least 80 ms before the other one arrived.
    The client's clock can only make an edge earlier, and not before start_ms, so a wrong clock does no harm.

    Args:
        edges: in the order received; t_ms is the time of arrival, or the result of an earlier call.
    """
    placed: list[ReceivedEdge] = []
    latest_ms, next_sent_ms = float("inf"), 0.0
    for edge in reversed(edges):
        spacing_ms = max(0.0, next_sent_ms - edge.sent_ms)
        latest_ms = max(start_ms, min(edge.t_ms, latest_ms - spacing_ms))
        next_sent_ms = edge.sent_ms
        placed.append(replace(edge, t_ms=latest_ms))
    return placed[::-1]


@dataclass(frozen=True, slots=True)
class _Window:
    """What happened between two latches."""

    since_ms: float
    held_before: frozenset[str]
    edges: tuple[ReceivedEdge, ...] = ()
    look: tuple[float, float] = (0.0, 0.0)  # yaw and pitch

    @property
    def held(self) -> frozenset[str]:
        return self.edges[-1].keys if self.edges else self.held_before

    def followed_by(self, later: "_Window") -> "_Window":
        edges = (*self.edges, *later.edges)[-MAX_EDGES:]
        look = (self.look[0] + later.look[0], self.look[1] + later.look[1])
        return _Window(self.since_ms, self.held_before, edges, look)


@dataclass(frozen=True, slots=True)
class _Trajectory:
    """Moves to follow; the keys steer before and after."""

    moves: Sequence[Move] = ()


@dataclass(frozen=True, slots=True)
class _Plan:
    """The moves of one latch, and what they were made of."""

    window: _Window
    trajectory: _Trajectory
    position: int  # in the trajectory, before this latch
    num_given: int  # moves of the trajectory; the keys make the others
    taps: list[frozenset[str]]  # of each move that the keys make
    look: tuple[float, float]  # of all moves that the keys make, together

    @property
    def num_moves(self) -> int:
        return self.num_given + len(self.taps)

    @property
    def moves(self) -> list[Move]:
        given = list(self.trajectory.moves[self.position : self.position + self.num_given])
        count = len(self.taps)
        keys = [
            motion_of(self.window.held | taps, self.look[0] / count, self.look[1] / count)
            for taps in self.taps
        ]
        return given + keys

    def last_taps(self, num_moves: int) -> list[frozenset[str]]:
        return ([frozenset[str]()] * self.num_given + self.taps)[self.num_moves - num_moves :]

    def last_look(self, num_moves: int) -> tuple[float, float]:
        share = min(num_moves, len(self.taps)) / max(1, len(self.taps))
        return (self.look[0] * share, self.look[1] * share)

    def position_before_last(self, num_moves: int) -> int:
        return self.position + min(self.num_given, self.num_moves - num_moves)


@dataclass(frozen=True, slots=True)
class _State:
    """The latches of a chunk so far, and what has happened since the last one."""

    window: _Window
    trajectory: _Trajectory = _Trajectory()
    position: int = 0
    plans: tuple[_Plan, ...] = ()  # each with fewer moves than the one before; all end with the chunk

    def plan(self, num_moves: int, now_ms: float) -> _Plan:
        """Plan the next moves of a new chunk."""
        num_given = max(0, min(num_moves, len(self.trajectory.moves) - self.position))
        window, num_keys = self.window, num_moves - num_given
        taps = tapped_keys(window.held_before, window.edges, window.since_ms, now_ms, num_keys)
        return _Plan(window, self.trajectory, self.position, num_given, taps, window.look)

    def plan_again(self, num_moves: int, now_ms: float) -> _Plan:
        """Plan the last moves of the chunk again: all that has happened counts, but nothing twice."""
        undone = [plan for plan in self.plans if plan.num_moves <= num_moves]
        window = self.window
        for plan in reversed(undone):
            window = plan.window.followed_by(window)
        before = self.before(num_moves)
        position = self._position_again(before, undone, num_moves)
        fresh = replace(self, window=window, position=position).plan(num_moves, now_ms)
        if before is None:
            return fresh
        kept_taps = before.last_taps(num_moves)[fresh.num_given :]
        taps = [one | other for one, other in zip(fresh.taps, kept_taps, strict=True)]
        look = before.last_look(num_moves)
        return replace(fresh, taps=taps, look=(window.look[0] + look[0], window.look[1] + look[1]))

    def before(self, num_moves: int) -> _Plan | None:
        """Return the latest plan of which some moves stay if the chunk's last ones are planned again."""
        return next((plan for plan in reversed(self.plans) if plan.num_moves > num_moves), None)

    def _position_again(self, before: _Plan | None, undone: Sequence[_Plan], num_moves: int) -> int:
        """Return the trajectory's next move, unless another trajectory has come meanwhile."""
        if before is not None and before.trajectory is self.trajectory:
            return before.position_before_last(num_moves)
        ours = (plan.position for plan in undone if plan.trajectory is self.trajectory)
        return next(ours, self.position)


class ControlState:
    """The inputs of one walk since the last latch. Safe to use from any thread.

    The latest state wins. If there are too many edges, the oldest are forgotten.
    """

    def __init__(self, now_ms: float, held: frozenset[str] = frozenset(), seq: int | None = None) -> None:
        self._lock = Lock()
        self._state = _State(_Window(now_ms, held))
        self._before_latch = self._state
        self._seq = seq
        self._has_news = False
        self._has_only_looks = True  # of what is new

    @property
    def news(self) -> int | None:
        """Return the seq of the newest message if it may change moves that were taken."""
        return self._seq if self._has_news else None

    @property
    def has_only_looks(self) -> bool:
        """Return whether neither keys nor a trajectory are new since the last latch."""
        return self._has_only_looks

    @property
    def latched_ms(self) -> float:
        """Return when controls were last read, or discarded."""
        return self._state.window.since_ms

    def press(
        self, seq: int, sent_ms: float, keys: frozenset[str], look: tuple[float, float], now_ms: float
    ) -> None:
        """Take the full pressed state, and the yaw and pitch of the mouse since the previous message."""
        with self._lock:
            self._seq = seq
            window = self._state.window
            edges = window.edges
            if keys != window.held:
                newest = [*edges, ReceivedEdge(now_ms, keys, sent_ms)][-MAX_EDGES:]
                edges = tuple(place_edges(newest, window.since_ms))
            self._has_news = self._has_news or edges is not window.edges or look != (0.0, 0.0)
            self._has_only_looks = self._has_only_looks and edges is window.edges
            turned = (window.look[0] + look[0], window.look[1] + look[1])
            self._state = replace(self._state, window=replace(window, edges=edges, look=turned))

    def follow(self, seq: int, moves: Sequence[Move]) -> None:
        """Follow these moves, one per latent, instead of any others. Afterwards the keys steer again."""
        with self._lock:
            self._seq = seq
            self._has_news, self._has_only_looks = True, False
            self._state = replace(self._state, trajectory=_Trajectory(moves), position=0)

    def expect(self, num_latents: int, now_ms: float) -> list[Move]:
        """Return what `take` would return now. Consumes nothing."""
        with self._lock:
            return self._state.plan(num_latents, now_ms).moves

    def expect_again(self, num_latents: int, now_ms: float) -> list[Move]:
        """Return what `take_again` would return now. Consumes nothing."""
        with self._lock:
            return self._state.plan_again(num_latents, now_ms).moves

    def take(self, num_latents: int, now_ms: float) -> tuple[list[Move], int | None]:
        """Consume the next latents' moves. Returns: the moves, and the seq of the newest message in them.

        If a trajectory covers all these latents, taps and looks are discarded.
        """
        with self._lock:
            plan = self._state.plan(num_latents, now_ms)
            self._commit((plan,), plan, now_ms)
            return plan.moves, self._seq

    def take_again(self, num_latents: int, now_ms: float) -> tuple[list[Move], int | None]:
        """Consume the moves of the last latents taken, which are made again, together with what is new.

        A tap that was meant for them moves them again, and so does the rest of a look or a trajectory.
        """
        with self._lock:
            plan = self._state.plan_again(num_latents, now_ms)
            stay = tuple(one for one in self._state.plans if one.num_moves > num_latents)
            self._commit((*stay, plan), plan, now_ms)
            return plan.moves, self._seq

    def give_back(self) -> None:
        """Undo the last latch: the latents that it was for will not be made."""
        with self._lock:
            before = self._before_latch
            state = replace(before, window=before.window.followed_by(self._state.window))
            if self._state.trajectory is not before.trajectory:  # another one has come meanwhile
                state = replace(state, trajectory=self._state.trajectory, position=0)
            self._state = state
            self._has_news, self._has_only_looks = True, False

    def forget_taps(self, now_ms: float) -> None:
        """Discard taps and looks that were made while the client saw no new frames."""
        with self._lock:
            self._state = replace(self._state, window=_Window(now_ms, self._state.window.held))

    def renewed(self, now_ms: float) -> "ControlState":
        """Return controls for a restarted walk: the keys still held, but no tap, look or trajectory.

        A chunk that is being cancelled keeps the old object, so it cannot consume new input.
        """
        with self._lock:
            return ControlState(now_ms, self._state.window.held, self._seq)

    def release(self, now_ms: float) -> None:
        """Forget all inputs of a connection that is lost: its client cannot tell when it releases its keys.

        The next connection numbers its messages anew, so no number is left, either.
        """
        with self._lock:
            self._state = self._before_latch = _State(_Window(now_ms, frozenset()))
            self._seq = None
            self._has_news = False

    def _commit(self, plans: tuple[_Plan, ...], newest: _Plan, now_ms: float) -> None:
        window = _Window(now_ms, self._state.window.held)
        position = newest.position + newest.num_given
        self._before_latch = self._state
        self._state = _State(window, self._state.trajectory, position, plans)
        self._has_news, self._has_only_looks = False, True


class ChunkSteering:
    """The steering of one chunk, or of its rest after a cut.

    It reads the controls at most once, and remembers when.
    """

    def __init__(self, controls: ControlState, clock: Callable[[], float], *, again: bool = False) -> None:
        """`again`: it steers latents that have been steered before."""
        self._controls = controls
        self._clock = clock
        self._expect = controls.expect_again if again else controls.expect
        self._take = controls.take_again if again else controls.take
        self.latched: Latch | None = None

    def predict(self, num_latents: int) -> list[Move]:
        return self._expect(num_latents, self._clock())

    def latch(self, num_latents: int) -> list[Move]:
        assert self.latched is None, self.latched
        now_ms = self._clock()
        moves, seq = self._take(num_latents, now_ms)
        self.latched = Latch(seq, now_ms)
        return moves

    def give_back(self) -> None:
        """Give back what was read: the latents will not be made."""
        if self.latched is not None:
            self._controls.give_back()
