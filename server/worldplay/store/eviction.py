"""Which walks the store removes: those that have expired, and those that make room for others."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ADDRESS_SHARE = 0.25  # of the store: an address that has left more than this makes room first


@dataclass(frozen=True, slots=True)
class StoredWalk:
    """A walk in the store, as an eviction sees it."""

    id: str
    num_bytes: int
    changed_s: float  # in seconds since 1970
    expires_s: float
    is_bookmark: bool
    is_live: bool  # somebody walks it, or may come back to it at once
    key: str = ""  # hash of its owner's secret
    address: str = ""  # hash of its owner's address; empty if that is not known
    is_walking: bool = False  # its session has a slot, as far as the store knows

    @property
    def is_left(self) -> bool:
        """Return whether it may be removed: nobody walks it, and nobody asked for it to be kept."""
        return not self.is_live and not self.is_bookmark


def find_expired(walks: Sequence[StoredWalk], now_s: float) -> list[StoredWalk]:
    """Find the walks whose time is over."""
    return [walk for walk in walks if not walk.is_live and walk.expires_s < now_s]


def find_walking(walks: Sequence[StoredWalk], since_s: float, until_s: float) -> list[StoredWalk]:
    """Find the sessions that had a slot and gave their last sign of life in this time, the latest first."""
    found = [walk for walk in walks if walk.is_walking and since_s <= walk.changed_s < until_s]
    return sorted(found, key=_age, reverse=True)


def find_surplus(walks: Sequence[StoredWalk], address: str, most: int) -> list[StoredWalk]:
    """Find what an address has left beyond `most` walks, the oldest first."""
    left = sorted((walk for walk in walks if walk.is_left and walk.address == address), key=_age)
    return left[: max(0, len(left) - most)]


def find_room(walks: Sequence[StoredWalk], num_bytes: int, quota_bytes: int) -> Iterator[StoredWalk]:
    """Find walks that were left and together have this many bytes, or all of them if they have less.

    Addresses that left much make room first. Otherwise the walk that expires next comes first.
    """
    left = [walk for walk in walks if walk.is_left]
    by_address = Counter[str]()
    for walk in left:
        by_address[walk.address] += walk.num_bytes
    share_bytes = ADDRESS_SHARE * quota_bytes
    for walk in sorted(left, key=_age):
        if walk.address and by_address[walk.address] > share_bytes and num_bytes > 0:
            by_address[walk.address] -= walk.num_bytes
            num_bytes -= walk.num_bytes
            left.remove(walk)
            yield walk
    for walk in sorted(left, key=_age):
        if num_bytes <= 0:
            return
        num_bytes -= walk.num_bytes
        yield walk


def _age(walk: StoredWalk) -> tuple[float, str]:
    return walk.changed_s, walk.id
