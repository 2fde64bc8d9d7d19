"""Files of the store: an error never looks like an empty folder."""

import errno
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

from worldplay.store.files import Files, _changed_s


class StrangeError(Exception):
    """Like those of Google's, Azure's and WebDAV's clients."""


class FailingFileSystem(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system that visits folder by folder, and fails in one of them."""

    protocol = "failing"
    find = AbstractFileSystem.find

    def _open(self, path: str, *arguments: Any, **options: Any) -> Any:
        self._fail_strangely(path)
        return super()._open(path, *arguments, **options)

    def cat_file(self, path: str, *arguments: Any, **options: Any) -> Any:
        self._fail_strangely(path)
        return super().cat_file(path, *arguments, **options)

    def rm(self, path: Any, *arguments: Any, **options: Any) -> None:
        self._fail_strangely(str(path))
        super().rm(path, *arguments, **options)

    def _fail_strangely(self, path: str) -> None:
        if "strange" in path:
            raise StrangeError("the service refuses")

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        self._fail_strangely(path)
        if path.endswith("/broken"):
            raise OSError(errno.EIO, "Input/output error")
        return super().ls(path, detail=detail, **options)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.replace("failing://", "memory://")))


fsspec.register_implementation("failing", FailingFileSystem, clobber=True)


def fail_in(folder: str, scandir: Callable[[str], Any]) -> Callable[[str], Any]:
    def scan(path: str) -> Any:
        if str(path).endswith(folder):
            raise OSError(errno.EIO, "Input/output error")
        return scandir(path)

    return scan


@pytest.mark.parametrize("listed", ["", "broken"])
@pytest.mark.parametrize("kind", ["folder", "remote"])
def test_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, listed: str
) -> None:
    files = Files(str(tmp_path) if kind == "folder" else f"failing://{tmp_path.name}")
    files.write("broken/part", b"data")
    monkeypatch.setattr(os, "scandir", fail_in("broken", os.scandir))
    with pytest.raises(OSError, match="Input/output error"):
        files.list(listed)


def test_file_system_without_a_find_of_its_own_lists_all_folders(tmp_path: Path) -> None:
    files = Files(f"failing://{tmp_path.name}-whole")
    for name in ("a", "walk/b", "walk/deep/c"):
        files.write(name, b"data")
    assert [(entry.name, entry.size) for entry in files.list()] == [
        ("a", 4),
        ("walk/b", 4),
        ("walk/deep/c", 4),
    ]
    assert [entry.name for entry in files.list("walk")] == ["walk/b", "walk/deep/c"]


@pytest.mark.parametrize(
    "use",
    [
        lambda files: files.write("strange", b"data"),
        lambda files: files.read("strange"),
        lambda files: files.read_all(["strange"]),
        lambda files: files.remove(["strange"]),
        lambda files: files.remove_folder("strange"),
        lambda files: files.list("strange"),
    ],
)
def test_error_of_a_file_systems_own_kind_is_an_os_error(use: Callable[[Files], object]) -> None:
    with pytest.raises(OSError, match="StrangeError: the service refuses"):
        use(Files("failing://root"))


def test_folder_that_is_made_is_for_its_user_alone(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir(mode=0o750)
    for name in ("new", "deep/new", "given"):
        Files(str(tmp_path / name)).write("walk/part", b"data")
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("new", "deep/new", "given")]
    assert modes == [0o700, 0o700, 0o750]


@pytest.mark.parametrize("url", ["{}", "memory://{}", "failing://{}"])
def test_folder_that_does_not_exist_is_empty(tmp_path: Path, url: str) -> None:
    files = Files(url.format(tmp_path / "none"))
    assert files.list() == []
    assert files.list("walk") == []
    files.remove_folder("walk")


def test_file_that_vanishes_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(str(tmp_path))
    for name in ("walk/a", "walk/b", "walk/c"):
        files.write(name, b"data")
    stat = os.stat

    def vanish(path: Any, **options: Any) -> os.stat_result:
        if str(path).endswith("/b"):
            raise FileNotFoundError(path)
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", vanish)
    assert [entry.name for entry in files.list("walk")] == ["walk/a", "walk/c"]


def test_folder_that_cannot_be_removed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(str(tmp_path))
    files.write("walk/part", b"data")
    monkeypatch.setattr(os.path, "exists", lambda path: False)  # what Python makes of an error
    files.remove_folder("walk")
    assert not list(tmp_path.iterdir())


def test_file_and_its_folder_are_on_disk_before_the_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut leaves empty files."""
    synced: list[str] = []
    fsync = os.fsync

    def note(file: int) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{file}"), tmp_path))
        fsync(file)

    monkeypatch.setattr(os, "fsync", note)
    files = Files(str(tmp_path))
    files.write("walk/a", b"data")
    assert synced == [".", "walk/a.part", "walk"]
    files.write("walk/b", b"data")
    assert synced[3:] == ["walk/b.part", "walk"]


@pytest.mark.parametrize(
    "info",
    [
        {"mtime": 1795797875.0},
        {"modify": "20261127164435"},
        {"modify": "20261127164435.123"},
        {"modificationTime": 1795797875827},
        {"LastModified": datetime(2026, 11, 27, 16, 44, 35, tzinfo=timezone.utc)},
        {"modified": "2026-11-27T16:44:35Z"},
        {"mtime": 0, "created": 1795797875},
    ],
)
def test_time_of_a_change_is_known_whatever_its_name(info: dict[str, object]) -> None:
    assert int(_changed_s(info)) == 1795797875


@pytest.mark.parametrize("info", [{}, {"mtime": 0}, {"mtime": None}, {"modify": "yesterday"}, {"mtime": -1}])
def test_unknown_time_of_a_change_is_zero(info: dict[str, object]) -> None:
    assert _changed_s(info) == 0.0


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(str(tmp_path))

    def fail(*arguments: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files._fs, "mv", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write("walk/part", b"data")
    assert list(tmp_path.rglob("*part*")) == []


def test_unknown_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a folder or a URL that fsspec knows"):
        Files("nonsense://bucket")
