"""Reads matrices from untrusted JSON, and checks them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def read_matrix(value: object, shapes: Sequence[tuple[int, ...]]) -> NDArray[np.float64] | None:
    """Read a decoded value as a float64 matrix. Returns: None if it is not one of these shapes.

    The value is read as objects first, because NumPy would accept "1", true and null as numbers.
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

    Raises: ValueError showing the first that is not, and its index. There may be thousands of others, which
    are not shown.
    """
    if good.all():
        return
    first = tuple(np.argwhere(~good)[0].tolist())
    where = f" at index {', '.join(map(str, first))}" if first else ""
    raise ValueError(f"expected {expected}, got {matrices[first].tolist()}{where}")
