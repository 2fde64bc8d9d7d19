"""What a visitor's keys, looks and trajectories say about the next latents; each is used exactly once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

from worldplay.world.key_motion import Edge, latent_motions

if TYPE_CHECKING:
    from worldplay.world.walk import Step

MAX_EDGES = 64  # between two latches; fingers make fewer, and of a flood only the end matters


@dataclass(frozen=True, slots=True)
class ReceivedEdge:
    """A change of the pressed keys, by the server's clock and by the page's."""

    received_ms: float
    sent_ms: float
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Latch:
    """When a chunk read its controls, and the newest message that it has seen."""

    seq: int | None
    at_ms: float


def place_edges(received: Sequence[ReceivedEdge], start_ms: float) -> list[Edge]:
    """Say when keys really changed, undoing what the network bunched together.

    An edge that the page made 80 ms before another one happened at least 80 ms before the other one arrived.
    The page's clock can move an edge only back, and not before start_ms, so a wrong one does no harm.
    """
    edges: list[Edge] = []
    latest_ms, next_sent_ms = float("inf"), 0.0
    for edge in reversed(received):
        spacing_ms = max(0.0, next_sent_ms - edge.sent_ms)
        latest_ms = max(start_ms, min(edge.received_ms, latest_ms - spacing_ms))
        next_sent_ms = edge.sent_ms
        edges.append(Edge(latest_ms, edge.keys))
    return edges[::-1]


class Controls:
    """The inputs of one walk since they were last latched. Safe to use from any thread.

    Latest state wins: what is bounded here is how much of the past is remembered, never how old an answer is.
    """

    def __init__(self, now_ms: float, held: frozenset[str] = frozenset(), seq: int | None = None) -> None:
        self._lock = Lock()
        self._since_ms = now_ms
        self._held_before = held
        self._held = held
        self._edges: deque[ReceivedEdge] = deque(maxlen=MAX_EDGES)
        self._look = (0.0, 0.0)
        self._trajectory: deque[Step] = deque()
        self._seq = seq

    def press(
        self, seq: int, sent_ms: float, keys: frozenset[str], look: tuple[float, float], now_ms: float
    ) -> None:
        """Take the full pressed state, and yaw and pitch turned by the mouse since the message before."""
        with self._lock:
            self._seq = seq
            self._look = (self._look[0] + look[0], self._look[1] + look[1])
            if keys != self._held:
                self._held = keys
                self._edges.append(ReceivedEdge(now_ms, sent_ms, keys))

    def follow(self, seq: int, steps: Sequence[Step]) -> None:
        """Go along these steps, one per latent, in place of any others; keys count again afterwards."""
        with self._lock:
            self._seq = seq
            self._trajectory = deque(steps)

    def expect(self, num_latents: int, now_ms: float) -> list[Step]:
        """What `take` would give now. Consumes nothing."""
        with self._lock:
            return self._steps(num_latents, now_ms)

    def take(self, num_latents: int, now_ms: float) -> tuple[list[Step], int | None]:
        """The next latents' steps, for good, and the newest message they include.

        Taps and looks made under a trajectory are spent with it.
        """
        with self._lock:
            steps = self._steps(num_latents, now_ms)
            for _ in range(min(num_latents, len(self._trajectory))):
                self._trajectory.popleft()
            self._forget_taps(now_ms)
            return steps, self._seq

    def forget_taps(self, now_ms: float) -> None:
        """Drop taps and looks: made while nobody could see what they did."""
        with self._lock:
            self._forget_taps(now_ms)

    def renewed(self, now_ms: float) -> Controls:
        """Controls for a walk that begins anew: the keys still held, but no tap, look or trajectory.

        A chunk of the old walk that is being cancelled keeps the old object: it cannot use up what comes now.
        """
        with self._lock:
            return Controls(now_ms, self._held, self._seq)

    def _steps(self, num_latents: int, now_ms: float) -> list[Step]:
        given: list[Step] = list(islice(self._trajectory, num_latents))
        edges = place_edges(self._edges, self._since_ms)
        rest = num_latents - len(given)
        return given + latent_motions(self._held_before, edges, self._since_ms, now_ms, rest, self._look)

    def _forget_taps(self, now_ms: float) -> None:
        self._since_ms = now_ms
        self._held_before = self._held
        self._edges.clear()
        self._look = (0.0, 0.0)


class ChunkSteering:
    """The steering of one chunk: reads the controls at most once, and remembers when."""

    def __init__(self, controls: Controls, clock: Callable[[], float]) -> None:
        self._controls = controls
        self._clock = clock
        self.latched: Latch | None = None

    def predict(self, num_latents: int) -> list[Step]:
        return self._controls.expect(num_latents, self._clock())

    def latch(self, num_latents: int) -> list[Step]:
        assert self.latched is None, self.latched
        now_ms = self._clock()
        steps, seq = self._controls.take(num_latents, now_ms)
        self.latched = Latch(seq, now_ms)
        return steps
