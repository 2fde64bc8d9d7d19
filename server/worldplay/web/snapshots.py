"""Bookmarks over the socket: copies of walks that clients keep in the store, and walks that begin at one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from worldplay.protocol import messages as m
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.store.errors import MissingWalkError, OwnerFullError, StoreFullError, without_path
from worldplay.store.store import Store
from worldplay.world.snapshot import Snapshot
from worldplay.world.snapshot_file import TooLongError

logger = logging.getLogger(__name__)

MISSING = "expected a walk that is kept here, got one that is not, or no longer"
DAMAGED = "the walk that is kept here cannot be read"
STORE_FAILS = "the store of walks fails: try again later"
FULL = "this server has no room for more walks: delete one first"
OWNER_FULL = "you keep as many walks here as one visitor may: delete one first"
TOO_LONG = "this walk is too long to be kept"


def keep_snapshot(
    store: Store, key: str, name: str, address: str, snapshot: Snapshot
) -> m.Bookmarked | ProtocolError:
    """Put a copy of a walk into the store. On a thread. Returns: what the client is told."""
    try:
        id = store.keep(key, name, snapshot, address)
    except OwnerFullError:
        return ProtocolError(ErrorCode.BAD_REQUEST, OWNER_FULL)
    except StoreFullError:
        return ProtocolError(ErrorCode.BAD_REQUEST, FULL)
    except TooLongError:
        return ProtocolError(ErrorCode.BAD_REQUEST, TOO_LONG)
    except OSError as error:
        logger.warning("a walk could not be kept: %s", without_path(error))
        return ProtocolError(ErrorCode.BAD_REQUEST, "the walk could not be kept: try again later")
    return m.Bookmarked(snapshot=id, name=name, chunk=snapshot.num_chunks)


def load_snapshot(store: Store | None, id: str) -> Snapshot:
    """Read a walk that is kept, to begin another walk with. On a thread.

    Raises: ProtocolError if it is not there, or damaged.
    """
    with _explaining():
        return _check_kept(store, id).load(id).as_another()


def check_kept(store: Store | None, id: str) -> None:
    """Check that a walk is still kept. On a thread. Raises: ProtocolError."""
    with _explaining():
        _check_kept(store, id)


def _check_kept(store: Store | None, id: str) -> Store:
    if store is None or store.about(id).kind != "kept":
        raise MissingWalkError
    return store


@contextmanager
def _explaining() -> Iterator[None]:
    """Turn what the store raises into what a client is told."""
    try:
        yield
    except MissingWalkError:
        raise ProtocolError(ErrorCode.BAD_REQUEST, f"start.snapshot: {MISSING}") from None
    except ValueError as error:
        raise ProtocolError(ErrorCode.BAD_REQUEST, f"start.snapshot: {error}") from None
    except OSError as error:
        logger.warning("a walk that is kept could not be read: %s", without_path(error))
        raise ProtocolError(ErrorCode.BAD_REQUEST, f"start.snapshot: {STORE_FAILS}") from None
