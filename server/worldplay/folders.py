"""Which folders of the settings must be apart: their files would mix, or be shown to everybody."""

import os
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

NOTHING = "none"  # a setting for who wants no such folder
_LOCAL = re.compile(r"(file|local):(//)?(?=[/~.]|$)")

# The first two have files of the same names. Everybody can get what is in the folder of the page.
_OUTSIDE = (
    ("store", "recordings"),
    ("static_dir", "store"),
    ("static_dir", "recordings"),
    ("static_dir", "token_file"),
)
# A folder with weights may have folders of something else in it.
_DIFFERENT = tuple(product(("store", "recordings"), ("weights_dir", "model")))


def check_folders(settings: Mapping[str, object]) -> None:
    """Check that folders do not clash. Raises: ValueError naming the first two that do."""
    folders = dict(_find_folders(settings))
    for one, other in (*_OUTSIDE, *_DIFFERENT):
        if one not in folders or other not in folders:
            continue
        first, second = folders[one], folders[other]
        is_inside = first in second.parents or second in first.parents
        if first == second or (is_inside and (one, other) in _OUTSIDE):
            expected = "places outside of each other" if (one, other) in _OUTSIDE else "two folders"
            raise ValueError(f"settings {one} and {other}: expected {expected}, got {first} and {second}")


def _find_folders(settings: Mapping[str, object]) -> Iterator[tuple[str, Path]]:
    """Yield the folders of this machine, and the file of the token. URLs of others are left out."""
    for name in ("store", "recordings", "static_dir", "token_file", "weights_dir", "model"):
        text = str(settings[name] or NOTHING)
        if name == "store":
            text = _LOCAL.sub("", text.rpartition("::")[2])
        if text != NOTHING and "://" not in text:
            yield name, Path(os.path.expanduser(text)).resolve()
