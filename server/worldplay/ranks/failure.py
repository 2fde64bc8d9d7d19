"""Why a rank failed, in one sentence, and what the command's exit code is then."""

import signal
from dataclasses import dataclass

from worldplay.model.out_of_memory import is_out_of_memory

_BEFORE_NCCLS_REASON = "Last error:"


class MeetingError(OSError):
    """The ranks cannot be connected."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason, to follow the rank's name, and the exit code."""

    reason: str
    code: int
    may_be_a_consequence: bool = False  # of another rank's end


STOPPED = Failure("was stopped by a signal; the others cannot go on without it", 1)
HUNG = Failure(
    "waited in vain for the others, one of which hangs; WORLDPLAY_RANK_TIMEOUT_S says for how long", 1
)
STUCK = Failure("could not leave NCCL in time, and was ended without it", 1)


def find_reason(error: Exception) -> str:
    """Return the line of an error that says most: the first one, or what NCCL says in the end."""
    lines = str(error).strip().splitlines() or ["no message"]
    return lines[-1] if any(line.startswith(_BEFORE_NCCLS_REASON) for line in lines[:-1]) else lines[0]


def describe_failure(error: Exception, *, serves: bool = False) -> Failure:
    """Describe what a rank could not handle.

    Args:
        serves: it has loaded its networks, so the operator cannot be at fault.
    """
    said = find_reason(error)
    if is_out_of_memory(error):
        return Failure("ran out of memory; take a smaller --size, more --gpus or fewer --max-sessions", 1)
    if isinstance(error, ValueError | OSError) and not serves:  # these are for the operator
        return Failure(f"failed: {said}", 2, may_be_a_consequence=isinstance(error, MeetingError))
    return Failure(f"failed: {type(error).__name__}: {said}", 1, may_be_a_consequence=True)


def describe_end(exit_code: int | None) -> Failure:
    """Describe a process that ended without a reason."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return Failure(f"was killed by {name}; the others cannot go on without it", 1)
    return Failure(f"ended with exit code {exit_code}; the others cannot go on without it", 1)
