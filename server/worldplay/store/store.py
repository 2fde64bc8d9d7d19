"""The store of walks: each is a folder of parts beside a description, within a quota and for a time."""

import hmac
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Literal

from pydantic import ValidationError

from worldplay.store.about import About, hash_address, hash_key
from worldplay.store.ages import Ages
from worldplay.store.byte_count import ByteCount
from worldplay.store.chain import FIRST_WRITER, find_newest, list_parts, name_part
from worldplay.store.claims import Claims
from worldplay.store.errors import (
    ExpiredWalkError,
    MissingWalkError,
    OwnerFullError,
    StoreFullError,
    without_path,
)
from worldplay.store.eviction import StoredWalk, find_expired, find_room, find_surplus, find_walking
from worldplay.store.files import ID, Entry, Files
from worldplay.store.folders import ABOUT, by_folder, has_about, has_part, is_of_walk, is_walk, remove_ours
from worldplay.store.joining import WrittenPart, join_files
from worldplay.store.parts import find_only_part, list_names, read_parts, read_until_damaged
from worldplay.store.shares import LIVE_ADDRESS_SHARE, find_full, live_bytes_beside
from worldplay.store.steady_clock import SteadyClock
from worldplay.store.walk_index import WalkIndex
from worldplay.world.snapshot import Snapshot
from worldplay.world.snapshot_file import write_snapshot

logger = logging.getLogger(__name__)

LIVE_S = 24 * 3600.0  # how long a walk that nobody came back to is kept
CLEAN_EVERY_S = 600.0
MAX_LISTED = 200  # bookmarks of a key
SILENT_S = 600.0  # after which a walk without a sign of life counts as left, wherever it was walked
SLACK_SHARE = 0.05  # of the store, which is freed beside what is needed, so that not every save frees some
WALKS_PER_ADDRESS = 20

Removal = Literal["expired", "room", "address"]


def new_id() -> str:
    """Make an id that nobody can guess."""
    return secrets.token_urlsafe(18)


class Store:
    """Walks by their ids. Any thread."""

    def __init__(
        self,
        files: Files,
        quota_bytes: int,
        keep_s: float,
        now: Callable[[], float] = time.time,
        walks_per_address: int = WALKS_PER_ADDRESS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep at most `quota_bytes`, and snapshots for `keep_s` after they were made.

        Args:
            walks_per_address: how many walks that were left are kept of one address.
        """
        self._files = files
        self.quota_bytes = quota_bytes
        self.num_kept = 0  # snapshots, since the start
        self.num_removed = Counter[Removal]()  # walks, since the start
        self._keep_s = keep_s
        self._ages = Ages(keep_s, LIVE_S, SILENT_S)
        self._now, self._monotonic = SteadyClock(now, monotonic), monotonic
        self._walks_per_address = walks_per_address
        self._held: dict[str, object] = {}  # walks of this server's sessions, each with who saves it
        self._abouts: dict[str, tuple[Entry, About | None]] = {}  # as last read, each with its file
        self._claims = Claims(files)
        self._index = WalkIndex(self._list, self._look)
        self._bytes = ByteCount()
        self._cleaned_s = float("-inf")

    @property
    def num_bytes(self) -> int:
        """Return how large the store is, as of the last cleaning and what was written since."""
        return self._bytes.num_bytes

    def create(self, id: str, about: About) -> About:
        """Make a walk without parts. Returns: its description. Raises: StoreFullError or OSError."""
        about = about.model_copy(update={"created_s": self._now()})
        with self._room(0):
            self.describe(id, about)
        return about

    def describe(self, id: str, about: About) -> None:
        """Write a walk's description, which is also a sign of life. Raises: OSError."""
        self._files.write(f"{id}/{ABOUT}", about.model_dump_json().encode())
        self._index.change([id])

    def hold(self, id: str, holder: object) -> None:
        """Do not remove a walk until its holder releases it: a session of this server has it."""
        self._held[id] = holder
        self._index.change([id])

    def release(self, id: str, holder: object) -> None:
        """Let a walk be removed, unless another holder has it meanwhile."""
        if self._held.get(id) is holder:
            del self._held[id]
            self._index.change([id])

    def append(self, id: str, number: int, part: Snapshot, writer: str = FIRST_WRITER) -> int:
        """Add a part to a walk, as its writer. One that begins the walk again replaces all others.

        Returns: its size in bytes. Raises: StoreFullError, TooLongError or OSError.
        """
        data = write_snapshot(part)
        self._check_live(id, len(data))
        name = name_part(writer, number)
        with self._room(len(data)):
            self._claims.settle(id, writer)
            self._files.write(f"{id}/{name}", data)
        self._index.change([id])
        if part.first == 0:
            self._remove_replaced(id, name, writer)
        return len(data)

    def join(self, id: str, run: Sequence[WrittenPart], writer: str) -> int:
        """Join parts that a writer has written one after the other. Nothing else is removed to make room.

        Returns: the size of the joined part; 0: they stay as they are for now.
        Raises: ValueError if one is damaged, TooLongError or OSError. The walk is whole nevertheless.
        """
        if self._is_full_with(sum(part.num_bytes for part in run)):
            return 0
        names = [f"{id}/{name_part(writer, part.number)}" for part in run]
        files = self._files.read_all(names)
        data = join_files(files)
        if not self.is_newest(id, writer):
            return 0
        self._files.write(names[0], data)
        self._bytes.add(len(data) - len(files[0]))
        for name, replaced in zip(names[1:], files[1:], strict=True):
            self._files.remove([name])  # each by itself, because the order matters
            self._bytes.add(-len(replaced))
        self._index.change([id])
        return len(data)

    def _check_live(self, id: str, num_bytes: int) -> None:
        """Raises: OwnerFullError if the walks of one address that are being made take what is for others."""
        free_bytes = LIVE_ADDRESS_SHARE * self.quota_bytes - num_bytes
        if self.num_bytes > free_bytes < live_bytes_beside(self._index.walks(), id):
            raise OwnerFullError

    def _remove_replaced(self, id: str, name: str, writer: str) -> None:
        """Remove the parts before this one, which begins the walk again."""
        sizes = {entry.name.removeprefix(f"{id}/"): entry.size for entry in self._files.list(id)}
        replaced = [each for each in list_parts(sizes) if each != name]
        if replaced and find_newest(sizes) == writer:
            self._files.remove([f"{id}/{each}" for each in replaced])
            self._bytes.add(-sum(sizes[each] for each in replaced))

    def claim(self, id: str) -> str:
        """Go on with a walk. Returns: the writer of what follows. Other writers' parts count no more.

        If that cannot be written, the walk can be read nevertheless. Raises: OSError if it cannot be read.
        """
        return self._claims.make(id, self._names(id))

    def give_up_claim(self, id: str, writer: str) -> None:
        """Leave a claim to whoever claims the walk here next, because it could not go on."""
        self._claims.give_up(id, writer)

    def is_newest(self, id: str, writer: str) -> bool:
        """Return whether nobody has claimed a walk after this writer. Raises: OSError."""
        return find_newest(self._names(id)) <= self._claims.newest_known(id, writer)

    def has(self, id: str) -> bool:
        """Return whether there is a walk. Raises: OSError."""
        return ABOUT in self._names(id)

    def keep(self, key: str, name: str, snapshot: Snapshot, address: str = "") -> str:
        """Keep a whole snapshot for the owner of a secret. Returns: its id.

        Args:
            address: its owner's; empty if that is not known.
        Raises: as `append`, and OwnerFullError.
        """
        id = new_id()
        about = About(
            kind="kept",
            key=hash_key(key),
            address=hash_address(address),
            name=name,
            chunks=snapshot.num_chunks,
        )
        self._check_bookmarks(about, snapshot.latents.nbytes)  # before it costs anything
        data = write_snapshot(snapshot)
        self._check_bookmarks(about, len(data))
        with self._room(len(data)):
            try:
                self._files.write(f"{id}/{name_part(FIRST_WRITER, 0)}", data)
                self.create(id, about)  # last, so that nobody finds a bookmark without its walk
            except Exception:
                self._remove(id)
                raise
        self._index.change([id])
        self.num_kept += 1
        return id

    def _check_bookmarks(self, about: About, num_bytes: int) -> None:
        """Raises: StoreFullError if another bookmark of this size takes what is for others."""
        if whose := find_full(self._index.walks(), about, num_bytes, self.quota_bytes, MAX_LISTED):
            raise OwnerFullError if whose == "owner" else StoreFullError

    def about(self, id: str) -> About:
        """Read a walk's description. Raises: MissingWalkError or OSError."""
        if ID.fullmatch(id) is None:
            raise MissingWalkError
        try:
            about = About.model_validate_json(self._files.read(f"{id}/{ABOUT}"))
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            raise MissingWalkError from None
        if self._is_expired(about):
            raise ExpiredWalkError(about)
        return about

    def _is_expired(self, about: About) -> bool:
        return about.kind == "kept" and self._now() > about.created_s + self._keep_s

    def load(self, id: str) -> Snapshot:
        """Read a walk, or what is before its first damaged part.

        Raises: MissingWalkError; ValueError if nothing of it can be read; OSError.
        """
        self.about(id)
        names, files = read_parts(self._files, id)
        parts = list_parts(names)
        snapshot, num_read = read_until_damaged(files)
        if num_read < len(parts):
            logger.warning("parts of a walk are damaged: %d of %d are used", num_read, len(parts))
            self._claims.shorten(id, names, parts[:num_read])
        return snapshot

    def open_kept(self, id: str) -> tuple[int, Callable[[int, int], bytes]]:
        """Return the size of a bookmark's file, and what reads a part of it, unchecked. Raises: as `load`."""
        part = find_only_part(self._files, id)
        return part.size, partial(self._files.read_range, part.name)

    def owns(self, id: str, key: str) -> bool:
        """Return whether a secret is that of a walk. Raises: MissingWalkError or OSError."""
        return hmac.compare_digest(self.about(id).key, hash_key(key))

    def list_kept(self, key: str) -> list[tuple[str, About]]:
        """List the snapshots that the owner of a secret keeps, the newest first.

        What another server keeps is there a few seconds later. Raises: OSError.
        """
        wanted, found = hash_key(key), []
        for walk in self._index.walks():
            if walk.is_bookmark and walk.expires_s >= self._now() and hmac.compare_digest(walk.key, wanted):
                _, about = self._abouts.get(walk.id, (None, None))
                is_over = about is None or self._is_expired(about)
                found += [] if about is None or is_over else [(walk.id, about)]
        return sorted(found, key=lambda each: each[1].created_s, reverse=True)[:MAX_LISTED]

    def delete(self, id: str) -> None:
        """Remove a walk. Raises: MissingWalkError or OSError."""
        if ID.fullmatch(id) is None:
            raise MissingWalkError
        try:
            remove_ours(self._files, id, is_of_walk)
        finally:
            self._index.change([id])  # afterwards, or others find it once more

    def clean(self, room_bytes: int = 0) -> None:
        """Remove what has expired and, until there is this much room, walks that were left."""
        walks, now_s = self._list(), self._now()
        num_bytes = sum(walk.num_bytes for walk in walks)
        expired = {walk.id: walk for walk in find_expired(walks, now_s) if self._now.is_steady}
        num_bytes -= self._remove_all(expired.values(), "expired")
        walks = [walk for walk in walks if walk.id not in expired]
        missing_bytes = num_bytes + room_bytes - self.quota_bytes
        if missing_bytes > 0:
            missing_bytes += int(SLACK_SHARE * self.quota_bytes)
            num_bytes -= self._remove_all(find_room(walks, missing_bytes, self.quota_bytes), "room")
        self._bytes.set(num_bytes)
        self._cleaned_s = self._monotonic()

    def find_walking(self, since_s: float, until_s: float) -> list[StoredWalk]:
        """Find the sessions that had a slot and gave their last sign of life in this time, the latest first.

        Raises: OSError.
        """
        return find_walking(self._list(), since_s, until_s)

    def find_changed(self, walks: Iterable[StoredWalk]) -> list[str]:
        """Find which of these walks have changed since they were found, or are gone. Raises: OSError."""
        looks = ((walk, self._look(walk.id)) for walk in walks)
        return [walk.id for walk, now in looks if now is None or now.changed_s != walk.changed_s]

    def limit(self, address: str) -> None:
        """Remove the oldest walks that an address has left, if they are too many. `address` is a hash.

        Raises: OSError.
        """
        if address:
            self._remove_all(find_surplus(self._index.walks(), address, self._walks_per_address), "address")

    def _list(self) -> list[StoredWalk]:
        """List the walks of the store. Raises: OSError."""
        folders = by_folder(self._files.list())
        folders = {id: entries for id, entries in folders.items() if is_walk(id, entries)}
        self._abouts = {id: known for id, known in list(self._abouts.items()) if id in folders}
        return [self._look_at(id, entries) for id, entries in folders.items()]

    def _look(self, id: str) -> StoredWalk | None:
        """Look at one walk; None: it is gone. Raises: OSError."""
        entries = self._files.list(id)
        return self._look_at(id, entries) if entries and is_walk(id, entries) else None

    def _look_at(self, id: str, entries: list[Entry]) -> StoredWalk:
        try:
            about, is_unknown = self._remember_about(id, entries), False
        except OSError as error:
            logger.warning("the description of a walk could not be read: %s", without_path(error))
            about, is_unknown = None, True
        is_kept = about is not None and about.kind == "kept" and has_part(id, entries)
        is_bookmark = is_kept or (about is None and has_about(id, entries))  # or a newer version's
        changed_s, silent_s, expires_s = self._ages.times(about, entries, is_bookmark)
        is_silent = not self._now.has_jumped and self._now() > silent_s
        is_left = about is not None and about.state == "left"
        return StoredWalk(
            id,
            sum(entry.size for entry in entries),
            changed_s,
            expires_s,
            is_bookmark,
            is_live=id in self._held or is_unknown or not (is_bookmark or is_silent or is_left),
            key="" if about is None else about.key,
            address="" if about is None else about.address,
            is_walking=about is not None and about.kind == "live" and about.state == "walking",
        )

    def _remember_about(self, id: str, entries: list[Entry]) -> About | None:
        """Return a walk's description, which is read only if its file has changed since the last time.

        None: it has none that is valid. Raises: OSError.
        """
        file = next((entry for entry in entries if entry.name == f"{id}/{ABOUT}"), None)
        if file is None:
            return None
        known = self._abouts.get(id)
        if known is None or known[0] != file:
            try:
                known = file, self.about(id)
            except ExpiredWalkError as expired:
                known = file, expired.about
            except MissingWalkError:
                known = file, None
            self._abouts[id] = known
        return known[1]

    def _names(self, id: str) -> list[str]:
        """List the files of a walk."""
        return list_names(self._files, id)

    def _is_full_with(self, num_bytes: int) -> bool:
        return self.num_bytes + num_bytes > self.quota_bytes

    def _room(self, num_bytes: int) -> AbstractContextManager[None]:
        """Make room for bytes, and count them while they are written. Entering raises StoreFullError."""
        if self._is_full_with(num_bytes) or self._monotonic() > self._cleaned_s + CLEAN_EVERY_S:
            self.clean(num_bytes)
        return self._bytes.writing(num_bytes, self.quota_bytes)

    def _remove_all(self, walks: Iterable[StoredWalk], why: Removal) -> int:
        """Return how many bytes were removed."""
        removed = [walk.num_bytes for walk in walks if self._remove(walk.id)]
        self.num_removed[why] += len(removed)
        if removed:
            logger.info("walks that nobody came back to were removed: %d (%s)", len(removed), why)
        return sum(removed)

    def _remove(self, id: str) -> bool:
        try:
            self.delete(id)
        except OSError as error:  # another server may be doing the same
            logger.warning("a walk could not be removed: %s", without_path(error))
            return False
        return True
