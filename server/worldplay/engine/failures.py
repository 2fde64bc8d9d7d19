"""How a session or a clip can fail: the codes, what each means to people, and which one an exception has."""

REASONS = {
    "busy": "no place is free, and none to wait in",
    "internal": "the server failed; its log says why",
    "out_of_memory": "the server ran out of memory",
    "stopped": "the server is stopping",
}

_OUT_OF_MEMORY = {"MemoryError", "OutOfMemoryError"}  # the latter is torch's, which is not imported here
# Of the RuntimeErrors that torch raises where a CPU, or one of CUDA's own libraries, finds no memory.
_OUT_OF_MEMORY_WORDS = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
)


def code_of(error: Exception) -> str:
    """`out_of_memory` or `internal`."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _OUT_OF_MEMORY or any(words in str(error) for words in _OUT_OF_MEMORY_WORDS):
        return "out_of_memory"
    return "internal"
