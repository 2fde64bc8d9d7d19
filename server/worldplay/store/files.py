"""Files of the store, in a folder or behind any URL that fsspec knows."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import fsspec
from fsspec.implementations.local import LocalFileSystem

ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, with its size in bytes and the time of its last change in seconds since 1970."""

    name: str  # below the root, with slashes
    size: int
    changed_s: float


class Files:
    """Reads and writes whole files. Any thread."""

    def __init__(self, url: str) -> None:
        """Raises: ValueError if the URL's protocol is unknown or its package is not installed."""
        try:
            self._fs, root = fsspec.core.url_to_fs(os.path.expanduser(url))
        except (ValueError, ImportError) as error:
            raise ValueError(f"expected a folder or a URL that fsspec knows, got {url!r}: {error}") from None
        self._root = root.rstrip("/")
        self._is_local = isinstance(self._fs, LocalFileSystem)

    def write(self, name: str, data: bytes) -> None:
        """Write a file so that it is there as a whole or not at all. Raises: OSError."""
        path = f"{self._root}/{name}"
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        if not self._is_local:  # an object appears as a whole
            self._fs.pipe_file(path, data)
            return
        part = f"{path}.part"
        try:
            self._fs.pipe_file(part, data)
            self._fs.mv(part, path)
        except OSError:
            if self._fs.exists(part):
                self._fs.rm(part)
            raise

    def read(self, name: str) -> bytes:
        """Read a file. Raises: FileNotFoundError or another OSError."""
        data: bytes = self._fs.cat_file(f"{self._root}/{name}")
        return data

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Read several files, at once where the file system can. Raises: OSError."""
        paths = [f"{self._root}/{name}" for name in names]
        found: dict[str, bytes] = self._fs.cat(paths)
        return [found[path] for path in paths]

    def remove(self, names: Sequence[str]) -> None:
        """Remove files. Raises: OSError."""
        self._fs.rm([f"{self._root}/{name}" for name in names])

    def remove_folder(self, name: str) -> None:
        """Remove a folder and what is in it, if it is there. Raises: OSError."""
        path = f"{self._root}/{name}"
        if self._fs.exists(path):
            self._fs.rm(path, recursive=True)

    def list(self, folder: str = "") -> list[Entry]:
        """List all files below a folder, by name. Raises: OSError."""
        self._fs.invalidate_cache()
        found = self._fs.find(f"{self._root}/{folder}".rstrip("/"), detail=True)
        entries = [
            Entry(path[len(self._root) + 1 :], info["size"] or 0, _changed_s(info))
            for path, info in found.items()
        ]
        return sorted(entries, key=lambda entry: entry.name)


def _changed_s(info: dict[str, object]) -> float:
    """Return the time of the last change, which every file system names differently; 0 if it has none."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, int | float):
            return float(value)
        if hasattr(value, "timestamp"):
            return float(value.timestamp())
    return 0.0
