"""The store of walks: each is a folder of parts beside a description, within a quota and for a time."""

import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from threading import Lock
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worldplay.store.chain import (
    FIRST_WRITER,
    find_newest,
    is_of_chain,
    list_parts,
    make_claim,
    name_part,
)
from worldplay.store.files import ID, Entry, Files
from worldplay.world.snapshot import Snapshot, join
from worldplay.world.snapshot_file import write_snapshot
from worldplay.world.snapshot_reader import check_whole, read_part

logger = logging.getLogger(__name__)

ABOUT = "about.json"
MAX_NAME_CHARS = 200
MAX_LISTED = 200
LIVE_S = 24 * 3600.0  # how long a walk that nobody came back to is kept
CLEAN_EVERY_S = 600.0


class StoreFullError(Exception):
    """There is no room for another walk."""


class MissingWalkError(Exception):
    """There is no such walk, or no longer."""


class About(BaseModel):
    """The description of a walk in the store. Secrets are kept as hashes only."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal[1] = 1
    kind: Literal["live", "kept"]  # a session's walk, or a snapshot that somebody keeps
    key: Annotated[str, Field(max_length=64)]  # hash of the secret that its owner has
    name: Annotated[str, Field(max_length=MAX_NAME_CHARS)] = ""
    chunks: int = 0
    created_s: float = 0.0


def hash_key(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def new_id() -> str:
    """Make an id that nobody can guess."""
    return secrets.token_urlsafe(18)


class Store:
    """Walks by their ids. Any thread."""

    def __init__(
        self, files: Files, quota_bytes: int, keep_s: float, now: Callable[[], float] = time.time
    ) -> None:
        """Keep at most `quota_bytes`, and snapshots for `keep_s` after they were made."""
        self._files = files
        self.quota_bytes = quota_bytes
        self.num_kept = 0  # snapshots, since the start
        self._keep_s = keep_s
        self._now = now
        self._lock = Lock()
        self._num_bytes = 0  # as of the last cleaning, and what was written since
        self._cleaned_s = float("-inf")

    @property
    def num_bytes(self) -> int:
        """Return how large the store is, as of the last cleaning and what was written since."""
        return self._num_bytes

    def create(self, id: str, about: About) -> None:
        """Make a walk without parts. Raises: StoreFullError or OSError."""
        self._make_room(0)
        about = about.model_copy(update={"created_s": self._now()})
        self._files.write(f"{id}/{ABOUT}", about.model_dump_json().encode())

    def append(self, id: str, number: int, part: Snapshot, writer: str = FIRST_WRITER) -> int:
        """Add a part to a walk, as its writer. One that begins the walk again replaces all others.

        Returns: its size in bytes. Raises: StoreFullError, TooLongError or OSError.
        """
        data = write_snapshot(part)
        self._make_room(len(data))
        name = name_part(writer, number)
        self._files.write(f"{id}/{name}", data)
        if part.first == 0 and name != name_part(FIRST_WRITER, 0):
            self._remove_replaced(id, name, writer)
        return len(data)

    def _remove_replaced(self, id: str, name: str, writer: str) -> None:
        """Remove the parts before this one, which begins the walk again."""
        names = self._names(id)
        replaced = [f"{id}/{each}" for each in list_parts(names) if each != name]
        if replaced and find_newest(names) == writer:
            self._files.remove(replaced)

    def claim(self, id: str) -> str:
        """Go on with a walk. Returns: the writer of what follows. Other writers' parts count no more.

        Raises: OSError.
        """
        claim = make_claim(self._names(id))
        self._files.write(f"{id}/{claim.name}", b"")
        return claim.writer

    def is_newest(self, id: str, writer: str) -> bool:
        """Return whether nobody has claimed a walk after this writer. Raises: OSError."""
        return find_newest(self._names(id)) <= writer

    def keep(self, key: str, name: str, snapshot: Snapshot) -> str:
        """Keep a whole snapshot for the owner of a secret. Returns: its id. Raises: as `append`."""
        id = new_id()
        self.create(id, About(kind="kept", key=hash_key(key), name=name, chunks=snapshot.num_chunks))
        self.append(id, 0, snapshot)
        self.num_kept += 1
        return id

    def about(self, id: str) -> About:
        """Read a walk's description. Raises: MissingWalkError or OSError."""
        if ID.fullmatch(id) is None:
            raise MissingWalkError
        try:
            about = About.model_validate_json(self._files.read(f"{id}/{ABOUT}"))
        except (FileNotFoundError, ValidationError):
            raise MissingWalkError from None
        if self._now() > about.created_s + self._keep_s and about.kind == "kept":
            raise MissingWalkError
        return about

    def load(self, id: str) -> Snapshot:
        """Read a walk. Raises: MissingWalkError; ValueError if it is damaged; OSError."""
        self.about(id)
        names = list_parts(self._names(id))
        if not names:
            raise MissingWalkError
        files = self._files.read_all([f"{id}/{name}" for name in names])
        snapshot = join([read_part(data) for data in files])
        check_whole(snapshot)
        return snapshot

    def owns(self, id: str, key: str) -> bool:
        """Return whether a secret is that of a walk. Raises: MissingWalkError or OSError."""
        return hmac.compare_digest(self.about(id).key, hash_key(key))

    def list_kept(self, key: str) -> list[tuple[str, About]]:
        """List the snapshots that the owner of a secret keeps, the newest first."""
        wanted, found = hash_key(key), []
        for entry in self._files.list():
            id, _, file = entry.name.partition("/")
            about = self._try_about(id) if file == ABOUT else None
            if about is not None and about.kind == "kept" and hmac.compare_digest(about.key, wanted):
                found.append((id, about))
        return sorted(found, key=lambda each: each[1].created_s, reverse=True)[:MAX_LISTED]

    def delete(self, id: str) -> None:
        """Remove a walk. Raises: MissingWalkError or OSError."""
        if ID.fullmatch(id) is None:
            raise MissingWalkError
        self._files.remove_folder(id)

    def clean(self, room_bytes: int = 0) -> None:
        """Remove what has expired and, until there is this much room, the walks that nobody came back to."""
        walks: dict[str, list[Entry]] = {}
        for entry in self._files.list():
            walks.setdefault(entry.name.partition("/")[0], []).append(entry)
        walks = {id: entries for id, entries in walks.items() if _is_walk(id, entries)}  # not files of others
        num_bytes, now_s = sum(entry.size for entries in walks.values() for entry in entries), self._now()
        by_age = sorted(walks.items(), key=lambda item: max(entry.changed_s for entry in item[1]))
        for id, entries in by_age:
            age_s = now_s - max(entry.changed_s for entry in entries)
            about = self._try_about(id)
            is_live = about is None or about.kind == "live"
            is_crowded = is_live and age_s > CLEAN_EVERY_S and num_bytes + room_bytes > self.quota_bytes
            if age_s > (LIVE_S if is_live else self._keep_s) or is_crowded:
                self._remove(id)
                num_bytes -= sum(entry.size for entry in entries)
        with self._lock:
            self._num_bytes, self._cleaned_s = num_bytes, now_s

    def _names(self, id: str) -> list[str]:
        """List the files of a walk."""
        return [entry.name.removeprefix(f"{id}/") for entry in self._files.list(id)]

    def _make_room(self, num_bytes: int) -> None:
        """Count bytes that will be written. Raises: StoreFullError."""
        is_full = self._num_bytes + num_bytes > self.quota_bytes
        if is_full or self._now() > self._cleaned_s + CLEAN_EVERY_S:
            self.clean(num_bytes)
        with self._lock:
            if self._num_bytes + num_bytes > self.quota_bytes:
                raise StoreFullError
            self._num_bytes += num_bytes

    def _try_about(self, id: str) -> About | None:
        try:
            return self.about(id)
        except (MissingWalkError, OSError):
            return None

    def _remove(self, id: str) -> None:
        try:
            self._files.remove_folder(id)
        except OSError as error:  # another server may be doing the same
            logger.warning("an expired walk could not be removed: %s", error)


def _is_walk(id: str, entries: Iterable[Entry]) -> bool:
    """Return whether a folder with these files is one that the store has made."""
    names = [entry.name.removeprefix(f"{id}/").removesuffix(".part") for entry in entries]
    return ID.fullmatch(id) is not None and all(name == ABOUT or is_of_chain(name) for name in names)
