"""How a session or a clip can fail: the codes, their texts for people, and the code of an exception."""

from worldplay.model.out_of_memory import is_out_of_memory

REASONS = {
    "busy": "no slot is free, and the queue is full",
    "internal": "the server failed; its log says why",
    "out_of_memory": "the server ran out of memory",
    "stopped": "the server is stopping",
}
BUSY_BUT_KEPT = "no slot is free, and the queue is full; the walk is kept: come back later"


def code_of(error: Exception) -> str:
    """Return `out_of_memory` or `internal`."""
    return "out_of_memory" if is_out_of_memory(error) else "internal"
