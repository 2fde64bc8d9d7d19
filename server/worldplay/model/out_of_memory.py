"""Tells errors for want of memory from others, without importing torch."""

_OUT_OF_MEMORY = {"MemoryError", "OutOfMemoryError"}  # the latter is torch's, which is not imported here
# In the errors that torch raises if a CPU, or one of CUDA's own libraries, runs out of memory.
_OUT_OF_MEMORY_WORDS = (
    "DefaultCPUAllocator: can't allocate memory",
    "_ALLOC_FAILED",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "Triton Error [CUDA]: out of memory",
    "'out of memory'",  # NCCL's
)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that main memory, or a GPU's, was too short."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & _OUT_OF_MEMORY) or any(words in str(error) for words in _OUT_OF_MEMORY_WORDS)
