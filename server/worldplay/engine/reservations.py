"""Slots that wait, for a while after a start, for sessions that had one before."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping


class Reservations:
    """A slot for each of these sessions, by name. Each is used once."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}  # of each session's client
        self._until_ms = 0.0
        self._changes: deque[tuple[list[str], dict[str, str]]] = deque()

    def __len__(self) -> int:
        return len(self._addresses)

    def __contains__(self, name: str) -> bool:
        return name in self._addresses

    def make(self, addresses: Mapping[str, str], until_ms: float) -> None:
        """Let slots wait for sessions with these names, whose clients have these addresses."""
        self._addresses = dict(addresses)
        self._until_ms = until_ms

    def take(self, name: str) -> bool:
        """Use a session's slot. Returns: whether one waited for it."""
        return self._addresses.pop(name, None) is not None

    def exchange(self, names: Iterable[str], others: Mapping[str, str]) -> None:
        """Let the slots of some sessions wait for others, as many as there are. Any thread.

        It counts from the next call of `settle` on.
        """
        self._changes.append((list(names), dict(others)))

    def settle(self, now_ms: float) -> None:
        """Exchange sessions, and let nothing wait any more when it is time."""
        while self._changes:
            names, others = self._changes.popleft()
            given_up = [name for name in names if self.take(name)]
            self._addresses |= dict(list(others.items())[: len(given_up)])
        if now_ms >= self._until_ms:
            self._addresses.clear()

    def count_by_address(self) -> Counter[str]:
        """Count the slots that wait, by the address of their client, if that is known."""
        return Counter(filter(None, self._addresses.values()))

    def drop_crowding(self, slots: Counter[str], share: int) -> None:
        """Give up the last slot of an address that has more than its share, because another waits.

        Args:
            slots: how many slots each address has, with those that wait for it.
        """
        for name, address in reversed(list(self._addresses.items())):
            if address and slots[address] > share:
                del self._addresses[name]
                return
