"""Files of the store, in a folder or behind any URL that fsspec knows."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

P = ParamSpec("P")
T = TypeVar("T")

ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, with its size in bytes and the time of its last change in seconds since 1970; 0: unknown."""

    name: str  # below the root, with slashes
    size: int
    changed_s: float


_Found = tuple[str, int, float]  # a file's whole path, and the rest as in Entry


def _raising_os_errors(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method raise an OSError instead of what only one kind of file system raises."""

    @wraps(method)
    def call(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return method(*arguments, **options)
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    return call


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

    @_raising_os_errors
    def write(self, name: str, data: bytes) -> None:
        """Write a file so that it is there as a whole or not at all. Raises: OSError."""
        path = f"{self._root}/{name}"
        folder = path.rpartition("/")[0]
        self._make_folder(folder)
        if not self._is_local:  # an object appears as a whole
            self._fs.pipe_file(path, data)
            return
        part = f"{path}.part"
        try:
            self._fs.pipe_file(part, data)
            _sync(part)
            self._fs.mv(part, path)
            _sync(folder)
        except OSError:
            if self._fs.exists(part):
                self._fs.rm(part)
            raise

    def _make_folder(self, path: str) -> None:
        is_new = self._is_local and not os.path.isdir(path)
        if is_new:  # whoever sees the names of its folders could open the walks
            os.makedirs(self._root, mode=0o700, exist_ok=True)
        self._fs.makedirs(path, exist_ok=True)
        if is_new:
            _sync(os.path.dirname(path))

    @_raising_os_errors
    def read(self, name: str) -> bytes:
        """Read a file. Raises: FileNotFoundError or another OSError."""
        data: bytes = self._fs.cat_file(f"{self._root}/{name}")
        return data

    @_raising_os_errors
    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Read a part of a file. Raises: FileNotFoundError or another OSError, also if it is shorter."""
        data: bytes = self._fs.cat_file(f"{self._root}/{name}", start=start, end=stop)
        if len(data) != stop - start:
            raise OSError(f"expected {stop - start} bytes of a file, got {len(data)}")
        return data

    @_raising_os_errors
    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Read several files, at once where the file system can. Raises: OSError."""
        paths = [f"{self._root}/{name}" for name in names]
        found: dict[str, bytes] = self._fs.cat(paths)
        return [found[path] for path in paths]

    @_raising_os_errors
    def remove(self, names: Sequence[str]) -> None:
        """Remove files. Raises: OSError."""
        self._fs.rm([f"{self._root}/{name}" for name in names])

    @_raising_os_errors
    def remove_folder(self, name: str) -> None:
        """Remove a folder and what is in it, if it is there. Raises: OSError."""
        path = f"{self._root}/{name}"
        try:
            self._fs.rm(path, recursive=True)
        except FileNotFoundError:
            if self._fs.exists(path):  # a file in it was removed by somebody else meanwhile
                raise

    @_raising_os_errors
    def list(self, folder: str = "") -> list[Entry]:
        """List all files below a folder, by name. One that does not exist is empty. Raises: OSError."""
        path = f"{self._root}/{folder}".rstrip("/")
        found = _list_local(path) if self._is_local else self._list_remote(path)
        return sorted(
            (Entry(path[len(self._root) + 1 :], size, changed_s) for path, size, changed_s in found),
            key=lambda entry: entry.name,
        )

    def _list_remote(self, path: str) -> Iterator[_Found]:
        self._fs.invalidate_cache()
        by_walking = _finds_by_walking(self._fs)
        infos = self._walk(path) if by_walking else self._fs.find(path, detail=True).values()
        for info in infos:
            yield info["name"], info["size"] or 0, _changed_s(info)

    def _walk(self, path: str) -> Iterator[dict[str, Any]]:
        """Visit folder by folder. `find` of fsspec does the same, but takes folders with errors for empty."""
        try:
            infos = self._fs.ls(path, detail=True)
        except FileNotFoundError:
            return
        for info in infos:
            name = info["name"].rstrip("/")
            if info["type"] != "directory":
                yield info
            elif name != path:
                yield from self._walk(name)


def _sync(path: str) -> None:
    """Wait until a file or a folder is on disk, so that a power cut leaves it whole. Raises: OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _list_local(folder: str) -> Iterator[_Found]:
    """List files. A file that is removed meanwhile may be missing, but no other one."""
    for parent, _, names in os.walk(folder, onerror=_raise_unless_missing):
        for name in names:
            path = os.path.join(parent, name)
            try:
                found = os.stat(path)
            except FileNotFoundError:
                continue
            yield path, found.st_size, found.st_mtime


def _raise_unless_missing(error: OSError) -> None:
    """Raise an error, so that a folder that cannot be read does not look empty."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _finds_by_walking(fs: AbstractFileSystem) -> bool:
    """Return whether a file system has no `find` of its own."""
    if isinstance(fs, AsyncFileSystem):
        return type(fs)._find is AsyncFileSystem._find
    return type(fs).find is AbstractFileSystem.find


# What file systems call the time of the last change, or of the making of a file that never changes.
_TIMES = (
    *("mtime", "LastModified", "last_modified", "updated", "modify", "modificationTime", "modified"),
    *("Last-Modified", "last_write_time", "modifiedTime", "modified_at", "timeModified"),
    *("created", "timeCreated", "creation_time"),
)
_MOST_S = 1e11  # larger numbers are milliseconds


def _changed_s(info: dict[str, Any]) -> float:
    """Return the time of the last change; 0 if the file system does not say."""
    times = (_seconds(info.get(name)) for name in _TIMES)
    return next((time_s for time_s in times if time_s > 0), 0.0)


def _seconds(value: object) -> float:
    if isinstance(value, str):
        value = _parse(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    if not isinstance(value, int | float):
        return 0.0
    return value / 1000 if value > _MOST_S else float(value)


def _parse(text: str) -> datetime | None:
    """Parse ISO 8601, which may have no separators at all as in FTP, and the dates of HTTP."""
    try:
        if text[:14].isdigit():
            return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
        if not text[:1].isdigit():
            return parsedate_to_datetime(text)
        return datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z
    except ValueError:
        return None
