"""Sizes of the released model's pictures."""

SIZE = (480, 832)  # (height, width) the released models were trained at
SIZE_UNIT = 16  # pixels per latent
MAX_SIDE = 1280


def parse_size(text: str) -> tuple[int, int]:
    """Read HEIGHTxWIDTH in pixels. Raises: ValueError saying what was expected."""
    height, separator, width = text.partition("x")
    if separator and height.isdecimal() and width.isdecimal():
        return check_size(int(height), int(width))
    raise ValueError(f"expected a size like {SIZE[0]}x{SIZE[1]} (height x width), got {text!r}")


def check_size(height: int, width: int) -> tuple[int, int]:
    """Raises: ValueError if no released model can make such pictures."""
    for side in (height, width):
        if side % SIZE_UNIT or not SIZE_UNIT <= side <= MAX_SIDE:
            raise ValueError(
                f"expected sides in multiples of {SIZE_UNIT} up to {MAX_SIDE}, got {height}x{width}"
            )
    return height, width
