"""A file as a hub publishes it, and checks of the copy on disk."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from worldplay.world.weight_files import PART, Weights

SMALL_BYTES = 50_000_000  # files up to this size are always compared byte by byte
_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class HubFile:
    """What a hub says about a file."""

    name: str  # path in the repository
    url: str  # of the commit that was listed
    size: int  # bytes
    digest: str  # sha256 of a large file, git's sha1 of a small one


def part_of(path: Path) -> Path:
    """Return where a file is kept until it is complete."""
    return path.with_name(path.name + PART)


def bytes_left(file: HubFile, path: Path) -> int:
    """Count the bytes of an incomplete file that are still to be fetched."""
    part = part_of(path)
    return max(0, file.size - part.stat().st_size) if part.is_file() else file.size


def find_damage(file: HubFile, path: Path, every_byte: bool = False) -> str | None:
    """Return what is wrong with a file; None if nothing. Large files are read only with `every_byte`."""
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if size != file.size:
        return f"has {size} bytes instead of {file.size}"
    if path.suffix == ".safetensors":
        try:
            Weights([path])
        except ValueError:
            return "is not a complete safetensors file"
    return compare_content(file, path) if every_byte or size <= SMALL_BYTES else None


def compare_content(file: HubFile, path: Path) -> str | None:
    """Compare a file's content with its checksum. Returns: what is wrong; None if nothing."""
    digest = _read_sha256(path) if len(file.digest) == 64 else _read_git_sha1(path)
    return None if digest == file.digest else f"does not have the checksum {file.digest[:12]}..."


def _read_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _read_git_sha1(path: Path) -> str:
    content = path.read_bytes()
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
