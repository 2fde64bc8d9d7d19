"""Which folders in the store's folder are walks. What else is there belongs to somebody else."""

from collections.abc import Iterable

from worldplay.store.chain import is_of_chain, list_parts
from worldplay.store.files import ID, Entry, Files

ABOUT = "about.json"


def by_folder(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by the first folder of their names."""
    folders: dict[str, list[Entry]] = {}
    for entry in entries:
        folders.setdefault(entry.name.partition("/")[0], []).append(entry)
    return folders


def is_walk(id: str, entries: Iterable[Entry]) -> bool:
    """Return whether a folder with these files is one that the store has made.

    A system may have put a hidden file into it. Any other file makes sure that it is a walk only if it has a
    part of one.
    """
    names = [_bare_name(id, entry) for entry in entries]
    if ID.fullmatch(id) is None or not any(map(_is_ours, names)):
        return False
    return any(map(is_of_chain, names)) or not any(map(_is_theirs, names))


def has_about(id: str, entries: Iterable[Entry]) -> bool:
    return any(entry.name == f"{id}/{ABOUT}" for entry in entries)


def has_part(id: str, entries: Iterable[Entry]) -> bool:
    return bool(list_parts(entry.name.removeprefix(f"{id}/") for entry in entries))


def remove_ours(files: Files, id: str) -> None:
    """Remove a walk's folder, or only the walk's files if somebody has put others there. Raises: OSError."""
    entries = files.list(id)
    if any(_is_theirs(_bare_name(id, entry)) for entry in entries):
        files.remove([entry.name for entry in entries if _is_ours(_bare_name(id, entry))])
    else:
        files.remove_folder(id)


def _bare_name(id: str, entry: Entry) -> str:
    return entry.name.removeprefix(f"{id}/").removesuffix(".part")


def _is_ours(name: str) -> bool:
    return name == ABOUT or is_of_chain(name)


def _is_theirs(name: str) -> bool:
    """Return whether a person has made a file. Systems leave hidden ones: .nfs..., .DS_Store."""
    return not _is_ours(name) and not name.startswith(".")
