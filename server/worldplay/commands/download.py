"""`worldplay download`: shows what will be fetched and under which terms, fetches it, and checks it."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from worldplay.commands.paths import existing_folder
from worldplay.hub.files import HubFile, bytes_left, find_damage
from worldplay.hub.sources import Source, list_sources
from worldplay.world.model_files import suggesting
from worldplay.world.released.files import Layout, suggest_layout
from worldplay.world.released.variants import Variant

TERMS = """\
These weights are not part of WorldPlay Live. By downloading them you accept their publishers' terms:
  tencent/HY-WorldPlay and HunyuanVideo-1.5 come under Tencent's community licences. These DO NOT APPLY in the
  European Union, the United Kingdom and South Korea: there you have no right to use the weights. They also
  have an acceptable-use policy.
  Qwen2.5-VL-7B and SigLIP come under Apache-2.0; FLUX.1-Redux-dev, which SigLIP is taken from in the
  original layout, has terms of its own.
Read them at https://huggingface.co/tencent/HY-WorldPlay and https://huggingface.co/tencent/HunyuanVideo-1.5
"""
LOCK = ".download.lock"
QUESTION = "Do you accept these terms, and are you outside the EU, the UK and South Korea?"


class Hub(Protocol):
    """The source of files; every method raises OSError if it fails."""

    def list_files(self, source: Source) -> list[HubFile]: ...

    def check_access(self, source: Source, file: HubFile) -> None: ...

    def fetch(self, source: Source, file: HubFile, path: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Item:
    """A file to have, and its place on disk."""

    source: Source
    file: HubFile
    path: Path
    damage: str | None  # what was wrong with it before the download; None if nothing
    bytes_left: int
    stamp: tuple[int, int] | None  # of what was there, to notice what another download does


def download(
    variant: Variant,
    layout: Layout,
    weights_dir: Path,
    agree: Callable[[str], bool],
    hub: Hub,
    *,
    verify: bool = False,
) -> None:
    """Fetch the files of a variant that are missing or damaged.

    Args:
        agree: asks a question; returns whether the answer is yes.
        verify: compare every byte of files already present, which takes minutes.
    Raises: OSError saying why the files cannot be fetched, and what to do; ValueError for a damaged file.
    """
    command = suggest_layout(variant, layout, weights_dir)
    sources = list_sources(variant, layout)
    with suggesting(command):
        listed = {source: hub.list_files(source) for source in sources}
    items = [item for source in sources for item in _find_items(source, listed[source], weights_dir, verify)]
    missing = [item for item in items if item.damage is not None]
    missing.sort(key=lambda item: item.file.size)  # small files first: each folder soon shows what it lacks
    with suggesting(command):
        for item in {item.source: item for item in missing}.values():
            hub.check_access(item.source, item.file)
    _print_summary(items, weights_dir)
    _check_disk(weights_dir, sum(item.bytes_left for item in missing))
    if missing and not agree(QUESTION):
        raise OSError("nothing was fetched: the terms were not accepted")
    if missing or os.access(weights_dir, os.W_OK):  # the folder of a complete download may be read-only
        with _lock(weights_dir):
            _clean_up(sources, weights_dir)
            with suggesting(command):
                _fetch(missing, hub, verify)
    sys.stdout.write(f"\nComplete: {variant.name} in {weights_dir}\n")


def _fetch(missing: Sequence[Item], hub: Hub, verify: bool) -> None:
    for item in missing:
        if _stamp(item.path) != item.stamp and find_damage(item.file, item.path, every_byte=verify) is None:
            continue  # another download fetched it while the question was open
        hub.fetch(item.source, item.file, item.path)
        _check_fetched(item)


def _find_items(source: Source, files: Sequence[HubFile], weights_dir: Path, verify: bool) -> Iterator[Item]:
    if not files:
        raise OSError(
            f"{source.repository} has no file like {', '.join(source.patterns)}; has the repository changed?"
        )
    for file in files:
        path = weights_dir / source.folder / file.name
        damage = find_damage(file, path, every_byte=verify)
        num_left = 0 if damage is None else bytes_left(file, path)
        yield Item(source, file, path, damage, num_left, _stamp(path))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return a file's size and when it was changed; None without one."""
    return (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None


def _clean_up(sources: list[Source], weights_dir: Path) -> None:
    """Delete what huggingface_hub left of interrupted downloads: it cannot continue them."""
    for folder in {weights_dir / source.folder for source in sources}:
        for path in (folder / ".cache" / "huggingface").rglob("*.incomplete"):
            sys.stdout.write(f"Deleting {path}, {path.stat().st_size / 1e9:.1f} GB of a broken download\n")
            path.unlink()


def _print_summary(items: list[Item], weights_dir: Path) -> None:
    write = sys.stdout.write
    write(f"To fetch into {weights_dir}:\n")
    for source in dict.fromkeys(item.source for item in items):
        own = [item for item in items if item.source == source]
        size, left = sum(item.file.size for item in own), sum(item.bytes_left for item in own)
        present = all(item.damage is None for item in own)
        state = "present" if present else f"{left / 1e9:.1f} GB to fetch"
        write(f"  {source.repository:58} {len(own):3} files {size / 1e9:6.1f} GB  {state}\n")
    write(f"Disk needed: {sum(item.bytes_left for item in items) / 1e9:.1f} GB\n\n{TERMS}\n")


def _check_disk(weights_dir: Path, missing: int) -> None:
    existing = existing_folder(weights_dir)
    free = shutil.disk_usage(existing).free
    if missing > free:
        raise OSError(
            f"{missing / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free at {existing}; "
            "make room, or choose another disk with --weights-dir"
        )


@contextmanager
def _lock(weights_dir: Path) -> Iterator[None]:
    """Lock out other downloads into this folder: they would write to the same files.

    Raises: OSError if another one is running.
    """
    weights_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(weights_dir / LOCK, timeout=0):
            yield
    except Timeout:
        raise OSError(f"another download into {weights_dir} is running; wait for it, or stop it") from None


def _check_fetched(item: Item) -> None:
    """Raises: ValueError naming a damaged file."""
    damage = find_damage(item.file, item.path)
    if damage is not None:
        raise ValueError(f"{item.path} {damage}")
