"""What kind of failure an exception is, for those who are told of it."""

_OUT_OF_MEMORY = {
    "MemoryError",
    "OutOfMemoryError",
}  # the latter is torch's, which this package does not import


def code_of(error: Exception) -> str:
    """`out_of_memory` or `internal`."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "out_of_memory" if names & _OUT_OF_MEMORY else "internal"
