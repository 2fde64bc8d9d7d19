"""The check that most sizes of a model share."""

from math import inf


def require_positive(**values: float) -> None:
    """Raises: ValueError naming the first that is not above 0 and finite."""
    for name, value in values.items():
        if not 0 < value < inf:
            raise ValueError(f"expected a positive {name}, got {value}")
