"""Turns a client's keys, looks and trajectories into moves of the next latents; each is used once."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from threading import Lock

from worldplay.world.key_motion import Edge, latent_motions
from worldplay.world.steering import Move

MAX_EDGES = 64  # between two latches; people make fewer, and of a flood only the newest matter


@dataclass(frozen=True, slots=True)
class ReceivedEdge(Edge):
    """A change of the pressed keys, with the client's own time of it."""

    sent_ms: float


@dataclass(frozen=True, slots=True)
class Latch:
    """When a chunk read its controls, and the seq of the newest message that they include."""

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


class ControlState:
    """The inputs of one walk since the last latch. Safe to use from any thread.

    The latest state wins. If there are too many edges, the oldest are forgotten.
    """

    def __init__(self, now_ms: float, held: frozenset[str] = frozenset(), seq: int | None = None) -> None:
        self._lock = Lock()
        self._since_ms = now_ms
        self._held_before = held
        self._held = held
        self._edges: list[ReceivedEdge] = []  # the newest MAX_EDGES
        self._look = (0.0, 0.0)
        self._trajectory: deque[Move] = deque()
        self._seq = seq

    def press(
        self, seq: int, sent_ms: float, keys: frozenset[str], look: tuple[float, float], now_ms: float
    ) -> None:
        """Take the full pressed state, and the yaw and pitch of the mouse since the previous message."""
        with self._lock:
            self._seq = seq
            self._look = (self._look[0] + look[0], self._look[1] + look[1])
            if keys != self._held:
                self._held = keys
                newest = [*self._edges, ReceivedEdge(now_ms, keys, sent_ms)][-MAX_EDGES:]
                self._edges = place_edges(newest, self._since_ms)

    def follow(self, seq: int, moves: Sequence[Move]) -> None:
        """Follow these moves, one per latent, instead of any others. Afterwards the keys steer again."""
        with self._lock:
            self._seq = seq
            self._trajectory = deque(moves)

    def expect(self, num_latents: int, now_ms: float) -> list[Move]:
        """Return what `take` would return now. Consumes nothing."""
        with self._lock:
            return self._next_moves(num_latents, now_ms)

    def take(self, num_latents: int, now_ms: float) -> tuple[list[Move], int | None]:
        """Consume the next latents' moves. Returns: the moves, and the seq of the newest message in them.

        If a trajectory covers all these latents, taps and looks are discarded.
        """
        with self._lock:
            moves = self._next_moves(num_latents, now_ms)
            for _ in range(min(num_latents, len(self._trajectory))):
                self._trajectory.popleft()
            self._forget_taps(now_ms)
            return moves, self._seq

    def forget_taps(self, now_ms: float) -> None:
        """Discard taps and looks that were made while the client saw no new frames."""
        with self._lock:
            self._forget_taps(now_ms)

    def renewed(self, now_ms: float) -> "ControlState":
        """Return controls for a restarted walk: the keys still held, but no tap, look or trajectory.

        A chunk that is being cancelled keeps the old object, so it cannot consume new input.
        """
        with self._lock:
            return ControlState(now_ms, self._held, self._seq)

    def _next_moves(self, num_latents: int, now_ms: float) -> list[Move]:
        given: list[Move] = list(islice(self._trajectory, num_latents))
        rest = num_latents - len(given)
        return given + latent_motions(
            self._held_before, self._edges, self._since_ms, now_ms, rest, self._look
        )

    def _forget_taps(self, now_ms: float) -> None:
        self._since_ms = now_ms
        self._held_before = self._held
        self._edges = []
        self._look = (0.0, 0.0)


class ChunkSteering:
    """The steering of one chunk. It reads the controls at most once, and remembers when."""

    def __init__(self, controls: ControlState, clock: Callable[[], float]) -> None:
        self._controls = controls
        self._clock = clock
        self.latched: Latch | None = None

    def predict(self, num_latents: int) -> list[Move]:
        return self._controls.expect(num_latents, self._clock())

    def latch(self, num_latents: int) -> list[Move]:
        assert self.latched is None, self.latched
        now_ms = self._clock()
        moves, seq = self._controls.take(num_latents, now_ms)
        self.latched = Latch(seq, now_ms)
        return moves
