"""Which folders the server has made: walks or recordings. What else is there belongs to somebody else."""

from collections.abc import Callable, Iterable

from worldplay.store.chain import is_of_chain, list_parts
from worldplay.store.files import ID, Entry, Files

ABOUT = "about.json"
IsNamed = Callable[[str], bool]  # whether a file of this name is of a kind


def by_folder(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by the first folder of their names."""
    folders: dict[str, list[Entry]] = {}
    for entry in entries:
        folders.setdefault(entry.name.partition("/")[0], []).append(entry)
    return folders


def is_walk(id: str, entries: Iterable[Entry]) -> bool:
    """Return whether a folder with these files is a walk's."""
    return is_made_here(id, entries, is_of_walk, is_of_chain)


def is_made_here(id: str, entries: Iterable[Entry], is_ours: IsNamed, is_surely_ours: IsNamed) -> bool:
    """Return whether a folder with these files is one that the server has made.

    A system may have put a hidden file into it. With files of any other kind it counts as the server's only
    if it also has one that is surely the server's.
    """
    names = [_bare_name(id, entry) for entry in entries]
    if ID.fullmatch(id) is None or not any(map(is_ours, names)):
        return False
    return any(map(is_surely_ours, names)) or not any(_is_theirs(name, is_ours) for name in names)


def is_of_walk(name: str) -> bool:
    return name == ABOUT or is_of_chain(name)


def has_about(id: str, entries: Iterable[Entry]) -> bool:
    return any(entry.name == f"{id}/{ABOUT}" for entry in entries)


def has_part(id: str, entries: Iterable[Entry]) -> bool:
    return bool(list_parts(entry.name.removeprefix(f"{id}/") for entry in entries))


def remove_ours(files: Files, id: str, is_ours: IsNamed) -> None:
    """Remove a folder, or only the server's files if somebody has put others there. Raises: OSError."""
    entries = files.list(id)
    if any(_is_theirs(_bare_name(id, entry), is_ours) for entry in entries):
        files.remove([entry.name for entry in entries if is_ours(_bare_name(id, entry))])
    else:
        files.remove_folder(id)


def _bare_name(id: str, entry: Entry) -> str:
    return entry.name.removeprefix(f"{id}/").removesuffix(".part")


def _is_theirs(name: str, is_ours: IsNamed) -> bool:
    """Return whether a person has made a file. Systems leave hidden ones: .nfs..., .DS_Store."""
    return not is_ours(name) and not name.startswith(".")
