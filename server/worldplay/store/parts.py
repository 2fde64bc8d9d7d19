"""Reads the parts of a walk, of which the newest may be damaged: by a power cut, or by a bad disk."""

from collections.abc import Sequence
from contextlib import suppress

from worldplay.store.chain import list_parts
from worldplay.store.errors import MissingWalkError
from worldplay.store.files import Entry, Files
from worldplay.world.snapshot import Snapshot, join
from worldplay.world.snapshot_reader import check_whole, read_part

MAX_LOOKS = 5  # at a walk whose parts are joined meanwhile


def read_parts(files: Files, id: str) -> tuple[list[str], list[bytes]]:
    """Read the parts of a walk. If its server joins some meanwhile, they are listed again.

    Returns: the names of all its files, and the parts in their order. Raises: MissingWalkError or OSError.
    """
    for _ in range(MAX_LOOKS):
        names = list_names(files, id)
        parts = [f"{id}/{name}" for name in list_parts(names)]
        if not parts:
            break
        with suppress(FileNotFoundError):
            return names, files.read_all(parts)
    raise MissingWalkError


def list_names(files: Files, id: str) -> list[str]:
    """List the files of a walk. Raises: OSError."""
    return [entry.name.removeprefix(f"{id}/") for entry in files.list(id)]


def find_only_part(files: Files, id: str) -> Entry:
    """Find the file of a walk that was written at once. Raises: ValueError if it has not one; OSError."""
    entries = {entry.name.removeprefix(f"{id}/"): entry for entry in files.list(id)}
    names = list_parts(entries)
    if len(names) != 1:
        raise ValueError(f"expected a walk in one file, got {len(names)}")
    return entries[names[0]]


def read_until_damaged(files: Sequence[bytes]) -> tuple[Snapshot, int]:
    """Join the parts of a walk up to the first that is damaged or does not follow.

    Returns: the walk, and how many parts it is made of. Raises: ValueError if it cannot be read at all.
    """
    parts, num_read = _read(files)
    while True:
        try:
            snapshot = join(parts)
            check_whole(snapshot)
            return snapshot, num_read
        except ValueError:
            if len(parts) == 1:
                raise
            parts.pop()
            num_read -= 1


def _read(files: Sequence[bytes]) -> tuple[list[Snapshot], int]:
    """Return the parts that can be read and follow each other, and the number of the last one plus 1."""
    parts, num_read, fault = list[Snapshot](), 0, ValueError("expected parts, got none")
    for number, data in enumerate(files):
        try:
            part = read_part(data)
        except ValueError as error:
            fault = error
            continue
        if part.first == 0:  # the walk was saved again from here
            parts, num_read = [part], number + 1
        elif num_read == number and part.first <= parts[-1].end:
            parts.append(part)
            num_read += 1
    if not parts:
        raise fault
    return parts, num_read
