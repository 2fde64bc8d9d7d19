"""Matrices that somebody else wrote: read from decoded JSON, and refused by the first that is wrong."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def read_matrix(value: object, shapes: Sequence[tuple[int, ...]]) -> NDArray[np.float64] | None:
    """A matrix of float64 if that is what a decoded value holds, in one of these shapes.

    As objects first: NumPy would take "1", true and null for numbers.
    """
    try:
        entries: NDArray[np.object_] = np.asarray(value, dtype=object)
        if entries.shape not in shapes or not all(map(_is_number, entries.flat)):
            return None
        return entries.astype(np.float64)
    except (ValueError, OverflowError):  # of uneven rows, and of integers beyond any float
        return None


def _is_number(entry: object) -> bool:
    return isinstance(entry, int | float) and not isinstance(entry, bool)


def check_each(good: NDArray[np.bool_] | np.bool_, matrices: NDArray[np.float64], expected: str) -> None:
    """Refuse matrices [..., n, m] unless all of them are good, [...].

    Raises: ValueError showing the first that is not, and where it is among several. There may be an hour of
    them, so the others are left out.
    """
    if good.all():
        return
    first = tuple(np.argwhere(~good)[0].tolist())
    where = f" at index {', '.join(map(str, first))}" if first else ""
    raise ValueError(f"expected {expected}, got {matrices[first].tolist()}{where}")
