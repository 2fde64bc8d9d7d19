"""How a session or a clip can fail: the codes, their texts for people, and the code of an exception."""

REASONS = {
    "busy": "no slot is free, and the queue is full",
    "internal": "the server failed; its log says why",
    "out_of_memory": "the server ran out of memory",
    "stopped": "the server is stopping",
}
BUSY_BUT_KEPT = "no slot is free, and the queue is full; the walk is kept: come back later"

_OUT_OF_MEMORY = {"MemoryError", "OutOfMemoryError"}  # the latter is torch's, which is not imported here
# In the RuntimeErrors that torch raises if a CPU, or one of CUDA's own libraries, runs out of memory.
_OUT_OF_MEMORY_WORDS = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
)


def code_of(error: Exception) -> str:
    """Return `out_of_memory` or `internal`."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _OUT_OF_MEMORY or any(words in str(error) for words in _OUT_OF_MEMORY_WORDS):
        return "out_of_memory"
    return "internal"
