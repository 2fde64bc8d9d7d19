"""Checks paths before anything is written there."""

import os
from collections.abc import Mapping
from pathlib import Path


def check_writable(path: Path | None) -> None:
    """Check that a file can be written. Raises: OSError saying what was expected."""
    if path is None:
        return
    real = Path(os.path.realpath(path))  # a link is written through
    target = real if real.exists() else real.parent
    if real.is_dir() or real.is_symlink() or not target.exists() or not os.access(target, os.W_OK):
        raise OSError(f"cannot write {path}: expected a file in a folder that exists and can be written")


def check_apart(paths: Mapping[str, Path | None]) -> None:
    """Check that no two options name the same file, which would be overwritten. Raises: ValueError."""
    seen: dict[str, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        other = seen.setdefault(os.path.realpath(path), option)
        if other != option:
            raise ValueError(f"expected two files for {other} and {option}, got {path} for both")


def existing_folder(path: Path) -> Path:
    """Return the folder itself, or its nearest parent that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
