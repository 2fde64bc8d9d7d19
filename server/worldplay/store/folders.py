"""Which folders in the store's folder are walks. What else is there belongs to somebody else."""

from collections.abc import Iterable

from worldplay.store.chain import is_of_chain
from worldplay.store.files import ID, Entry

ABOUT = "about.json"


def by_folder(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by the first folder of their names."""
    folders: dict[str, list[Entry]] = {}
    for entry in entries:
        folders.setdefault(entry.name.partition("/")[0], []).append(entry)
    return folders


def is_walk(id: str, entries: Iterable[Entry]) -> bool:
    """Return whether a folder with these files is one that the store has made."""
    names = [entry.name.removeprefix(f"{id}/").removesuffix(".part") for entry in entries]
    return ID.fullmatch(id) is not None and all(name == ABOUT or is_of_chain(name) for name in names)
