"""Joins parts of a walk while it is made, so that few files are read when somebody goes on with it.

Eight parts become one, and eight of those become one again, so every latent is written at most a few times.
A joined part takes the name of the first one that it replaces; then the others are removed, the oldest
first. The walk is the same after each of these steps, because a part replaces everything from its first
latent on. It stays the same for another server that claims it meanwhile, because names only disappear
behind one that its claim counts, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from worldplay.world.snapshot import Snapshot, join_run
from worldplay.world.snapshot_file import write_snapshot
from worldplay.world.snapshot_reader import read_part

FAN_IN = 8  # parts of a level that are joined
MAX_JOINED_BYTES = 2**24  # so that other walks wait for no long time until they are saved


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """A part in the store, with the latents from `first` to `end`."""

    number: int
    num_bytes: int
    first: int
    end: int
    level: int = 0  # how often it was joined


class WrittenParts:
    """The parts that one writer has written and may join, the oldest first."""

    def __init__(self) -> None:
        self._parts: list[WrittenPart] = []

    def add(self, number: int, num_bytes: int, part: Snapshot) -> None:
        """Note a part that was written. One that begins the walk again has replaced all others."""
        if part.first == 0:
            self.forget()
        self._parts.append(WrittenPart(number, num_bytes, part.first, part.end))

    def forget(self) -> None:
        """Leave all parts as they are."""
        self._parts.clear()

    def find_run(self) -> list[WrittenPart]:
        """Find parts that follow each other and should be joined. The newest part is none of them."""
        for level in sorted({part.level for part in self._parts}, reverse=True):
            run = self._parts[self._begin(level) : -1]
            while run and not _can_be_joined(run):
                del run[0]
            if sum(part.level == level for part in run) >= FAN_IN:
                return run
        return []

    def _begin(self, level: int) -> int:
        """Return the index after the last part with a higher level."""
        higher = [index for index, part in enumerate(self._parts) if part.level > level]
        return higher[-1] + 1 if higher else 0

    def replace(self, run: Sequence[WrittenPart], num_bytes: int) -> None:
        """Note that parts were joined into one of this size."""
        start = self._parts.index(run[0])
        joined = replace(
            run[0],
            num_bytes=num_bytes,
            first=min(part.first for part in run),
            end=run[-1].end,
            level=1 + max(part.level for part in run),
        )
        self._parts[start : start + len(run)] = [joined]


def _can_be_joined(run: Sequence[WrittenPart]) -> bool:
    """Return whether parts may be joined: not too large, and nothing is missing while they are removed.

    If the walk went back and is still shorter than before, the joined part would end before some of them.
    """
    is_small = sum(part.num_bytes for part in run) <= MAX_JOINED_BYTES
    return is_small and max(part.first for part in run) <= run[-1].end


def join_files(files: Sequence[bytes]) -> bytes:
    """Join parts that follow each other. Raises: ValueError if one is damaged, or TooLongError."""
    return write_snapshot(join_run([read_part(data) for data in files]))
