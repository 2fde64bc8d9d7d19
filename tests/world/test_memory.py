"""Main memory that is available, of a machine and of a container."""

import ctypes
from pathlib import Path

import pytest

from worldplay.world import memory
from worldplay.world.memory import available_memory, is_memory_short, release_memory


def test_memory_of_a_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    limit = tmp_path_factory.mktemp("cgroup") / "memory.max"
    monkeypatch.setattr(memory, "CGROUP_LIMIT", limit)
    whole = available_memory()
    limit.write_text("1000000\n")
    assert whole > available_memory() == 1_000_000
    limit.write_text("max\n")
    assert available_memory() > 1_000_000


def test_container_has_what_it_does_not_use_yet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in {
        "CGROUP_LIMIT": "1000000000\n",
        "CGROUP_USAGE": "700000000\n",
        "CGROUP_DETAILS": "anon 5\ninactive_file 50000000\n",
    }.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(memory, name, tmp_path / name)
    assert available_memory() == 350_000_000
    assert is_memory_short()


def test_freed_memory_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Glibc:
        trimmed = 0

        def malloc_trim(self, pad: int) -> None:
            self.trimmed += 1

    libc = Glibc()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    release_memory()
    assert libc.trimmed == 1


def test_other_c_libraries_return_memory_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    release_memory()
