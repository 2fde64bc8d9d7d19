"""Decides which sessions have a slot and which wait for one."""

from collections import Counter, deque

from worldplay.engine.activity import SlotLimits
from worldplay.engine.pacing import RecentTimes
from worldplay.engine.reservations import Reservations


class Admission:
    """A bounded number of slots with a bounded first-come, first-served queue before them.

    A session that gave its slot back may rest: it keeps its walk, and gets a slot only if nobody else waits.
    While others wait, sessions of one address have a share of the slots. For a while after a start, slots may
    be reserved for sessions that had one before. Later, as many of these as there are slots may wait beyond
    the queue's limit.
    """

    def __init__(self, max_sessions: int, max_queued: int, limits: SlotLimits | None = None) -> None:
        """`limits.per_address` is the share of an address. A key whose address has it all is passed over."""
        if max_sessions < 1 or max_queued < 0:
            raise ValueError(f"expected slots >= 1 and a queue >= 0, got {max_sessions} and {max_queued}")
        self.max_sessions = max_sessions
        self.limits = limits or SlotLimits()
        self._max_queued = max_queued
        self._slot_since_ms: dict[int, float] = {}
        self._queue: deque[int] = deque()
        self._resting_ms: dict[int, float] = {}  # since when; the longest first
        self._stays = RecentTimes()
        self._addresses: dict[int, str] = {}
        self._share = self.limits.per_address or max(1, max_sessions - 1)
        self.reserved = Reservations()

    @property
    def num_slots_taken(self) -> int:
        return len(self._slot_since_ms)

    @property
    def num_queued(self) -> int:
        return len(self._queue) + len(self._resting_ms)

    @property
    def num_waiting(self) -> int:
        """Return how many of the queue want a slot now."""
        return len(self._queue)

    @property
    def num_free(self) -> int:
        """Return how many slots nobody has, and nobody may come back to."""
        return max(0, self.max_sessions - self.num_slots_taken - len(self.reserved))

    @property
    def is_full(self) -> bool:
        """Return whether a new key finds neither a slot nor a place in the queue."""
        has_slot = self.num_free > 0 and not self._queue
        return not has_slot and len(self._queue) >= self._max_queued

    def has_room_for(self, name: str) -> bool:
        """Return whether a new key finds a slot or a place in the queue. One that comes back has a name."""
        beyond = self.max_sessions if name else 0
        return name in self.reserved or not self.is_full or len(self._queue) < self._max_queued + beyond

    @property
    def resting(self) -> dict[int, float]:
        """Return the keys that rest, and since when."""
        return self._resting_ms

    @property
    def surplus(self) -> int | None:
        """Return the key that has rested longest if more rest than may wait."""
        is_full = len(self._resting_ms) > max(1, self._max_queued)
        return next(iter(self._resting_ms)) if is_full else None

    @property
    def queue(self) -> list[int]:
        """Return the keys that wait, the next one first; those that rest come last."""
        return [*self._queue, *self._resting_ms]

    def check_reserved(self, now_ms: float) -> None:
        """Give slots that are not reserved any more to those who wait."""
        if len(self.reserved):
            if any(self._has_share_left(key) for key in self._queue):
                self.reserved.drop_crowding(self._count_slots(), self._share)
            self.reserved.settle(now_ms)
            self._fill(now_ms)

    def enter(self, key: int, now_ms: float, address: str = "", name: str = "") -> bool:
        """Take a slot, or wait for one. Returns: False if both are full.

        Args:
            name: of a session that comes back; empty for others.
        """
        if not self.has_room_for(name):
            return False
        self._addresses[key] = address
        if self.reserved.take(name):
            self._slot_since_ms[key] = now_ms
            return True
        if self.num_free and not self._queue:
            self._slot_since_ms[key] = now_ms
            return True
        self._queue.append(key)
        return True

    def leave(self, key: int, now_ms: float) -> None:
        """Remove a key, if it is there. A freed slot goes to the key that has waited longest."""
        since_ms = self._slot_since_ms.pop(key, None)
        if since_ms is not None:
            self._stays.add(now_ms - since_ms)
        elif key in self._queue:
            self._queue.remove(key)
        self._resting_ms.pop(key, None)
        self._addresses.pop(key, None)
        self._fill(now_ms)

    def find_crowding(self) -> int | None:
        """Find the key that got its slot last, of an address with more than its share, if another waits."""
        if not any(self._has_share_left(key) for key in self._queue):
            return None
        slots = self._count_slots()
        crowding = [key for key in self._slot_since_ms if slots[self._addresses[key]] > self._share]
        return max(crowding, key=lambda key: (self._slot_since_ms[key], key), default=None)

    def find_crowding_waiter(self, address: str) -> int | None:
        """Find the last of an address that fills the queue, to make room for another that has no key here."""
        if address in self._addresses.values():
            return None
        waiting = Counter(self._addresses[key] for key in self._queue)
        most = max(waiting.values(), default=0)
        return next((key for key in reversed(self._queue) if waiting[self._addresses[key]] == most > 1), None)

    def _count_slots(self) -> Counter[str]:
        """Count the slots of each address, with those that wait for it."""
        return Counter(self._addresses[key] for key in self._slot_since_ms) + self.reserved.count_by_address()

    def _has_share_left(self, key: int) -> bool:
        return self._count_slots()[self._addresses[key]] < self._share

    def yield_slot(self, key: int, now_ms: float, *, rests: bool) -> None:
        """Move a key that has a slot to the end of the queue, or to those that rest."""
        self._stays.add(now_ms - self._slot_since_ms.pop(key))
        self._fill(now_ms)
        if rests:
            self._resting_ms[key] = now_ms
        else:
            self._queue.append(key)
        self._fill(now_ms)

    def wake(self, key: int) -> None:
        """Let a key that rests wait again, behind those who wait already."""
        del self._resting_ms[key]
        self._queue.append(key)

    def has_slot(self, key: int) -> bool:
        return key in self._slot_since_ms

    def eta_s(self, position: int) -> float | None:
        """Estimate the wait at a position (1 is next) from recent visits; None if none has ended yet."""
        if not self._stays:
            return None
        return position * self._stays.median_ms / self.max_sessions / 1000.0

    def _fill(self, now_ms: float) -> None:
        """Give free slots to the keys that wait longest, and then to those that rest."""
        while self.num_queued and self.num_free:
            key = self._next_waiting() if self._queue else next(iter(self._resting_ms))
            self._resting_ms.pop(key, None)
            self._slot_since_ms[key] = now_ms

    def _next_waiting(self) -> int:
        """Take the first key out of the queue whose address has a share left; the first one if none has."""
        key = next(filter(self._has_share_left, self._queue), self._queue[0])
        self._queue.remove(key)
        return key
