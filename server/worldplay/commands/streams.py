"""Standard streams: what a command prints neither ends it nor goes into its files."""

import io
import os
import sys
from pathlib import Path


def prepare_streams() -> None:
    """Take a service that has no stdout, or one in ASCII. To be called once, first."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_stdout(path: Path) -> bool:
    """Return whether a path leads to where stdout goes, so that printing would write over the file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False
