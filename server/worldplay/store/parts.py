"""Reads the parts of a walk, of which the newest may be damaged: by a power cut, or by a bad disk."""

from collections.abc import Sequence

from worldplay.world.snapshot import Snapshot, join
from worldplay.world.snapshot_reader import check_whole, read_part


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
