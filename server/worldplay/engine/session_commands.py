"""What a session asks the worker to do between two chunks."""

from collections.abc import Callable
from dataclasses import dataclass

from worldplay.world.snapshot import Snapshot
from worldplay.world.steering import WalkRequest


@dataclass(frozen=True, slots=True)
class Open:
    """Open a new walk in place of the current one, if any."""

    request: WalkRequest
    num_staying: int | None = None  # of the current walk, after rewinds that it replaces


@dataclass(frozen=True, slots=True)
class Rewind:
    """Go back to having made `num_chunks` chunks; `what` is the state that the client is told."""

    num_chunks: int
    what: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """Use another text from the next chunk on."""

    text: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy the walk as it is; `deliver` gets the copy on the worker thread and must return quickly."""

    deliver: Callable[[Snapshot], None]


@dataclass(frozen=True, slots=True)
class Rest:
    """Save the walk, because its client is away."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Compute again what the walk released when it lost its slot."""


Command = Open | Rewind | Prompt | Copy | Rest | Prepare
