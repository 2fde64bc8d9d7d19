"""What one visitor may have of the store, so that there is room for others."""

from collections.abc import Sequence
from typing import Literal

from worldplay.store.about import About
from worldplay.store.eviction import StoredWalk

BOOKMARKS_SHARE = 0.9  # of the store; the rest is for walks that are being made
BOOKMARKS_PER_ADDRESS = 1000  # however small: the time to list them, and the disk's blocks, are bounded, too
BOOKMARKS_ADDRESS_SHARE, LIVE_ADDRESS_SHARE = 0.5, 0.75  # of the store, for one address


def find_full(
    walks: Sequence[StoredWalk], about: About, num_bytes: int, quota_bytes: int, most: int
) -> Literal["owner", "store"] | None:
    """Return whose share another bookmark of this size exceeds; None: it may be kept.

    Args:
        most: bookmarks of one key.
    """
    bookmarks = [walk for walk in walks if walk.is_bookmark]
    of_address = [walk for walk in bookmarks if walk.address == about.address != ""]
    of_key = [walk for walk in bookmarks if walk.key == about.key]
    address_bytes = sum(walk.num_bytes for walk in of_address) + num_bytes
    has_most = len(of_key) >= most or len(of_address) >= BOOKMARKS_PER_ADDRESS
    if has_most or address_bytes > BOOKMARKS_ADDRESS_SHARE * quota_bytes:
        return "owner"
    all_bytes = sum(walk.num_bytes for walk in bookmarks) + num_bytes
    return "store" if all_bytes > BOOKMARKS_SHARE * quota_bytes else None


def live_bytes_beside(walks: Sequence[StoredWalk], id: str) -> int:
    """Return the size of the walks that are being made by the address of this one, with it; 0: unknown."""
    address = next((walk.address for walk in walks if walk.id == id), "")
    same = [walk for walk in walks if walk.is_live and not walk.is_bookmark and walk.address == address]
    return sum(walk.num_bytes for walk in same) if address else 0
