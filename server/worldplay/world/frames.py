"""Converts and checks frame counts and picture sizes (docs/worldplay-model.md 13)."""

from worldplay.model import config
from worldplay.wording import show

FPS = 24
FRAMES_PER_LATENT = config.FRAMES_PER_LATENT

SIZE = (480, 832)  # (height, width) the released models were trained at
SIZE_UNIT = 16  # pixels per latent
MAX_SIDE = 1280


def count_frames(num_latents: int) -> int:
    """Count the video frames of a walk's first `num_latents` latents."""
    return max(0, FRAMES_PER_LATENT * (num_latents - 1) + 1)


def count_latents(num_frames: int) -> int:
    """Count the latents whose frames are all among a walk's first `num_frames`."""
    return max(0, (num_frames - 1) // FRAMES_PER_LATENT + 1)


def check_num_frames(num_frames: int, chunk_latents: int, max_frames: int) -> int:
    """Count the latents of a clip.

    Raises: ValueError naming the nearest frame counts that make whole chunks, at most max_frames.
    """
    below, above = valid_frame_counts(num_frames, chunk_latents, max_frames)
    if num_frames == above:
        return count_latents(num_frames)
    nearest = " or ".join(str(count) for count in (below, above) if count is not None)
    raise ValueError(
        f"expected {_examples(chunk_latents)} ... frames (whole chunks of {chunk_latents} latents, at most "
        f"{max_frames} frames), got {show(num_frames)}; nearest is {nearest}"
    )


def valid_frame_counts(num_frames: int, chunk_latents: int, max_frames: int) -> tuple[int | None, int | None]:
    """Find the nearest valid counts below num_frames, and at or above it; None if there is none."""
    most = count_latents(max_frames) // chunk_latents
    above = count_latents(num_frames - 1) // chunk_latents + 1
    below = min(above - 1, most)
    return (
        count_frames(below * chunk_latents) if below > 0 else None,
        count_frames(above * chunk_latents) if above <= most else None,
    )


def _examples(chunk_latents: int) -> str:
    return ", ".join(str(count_frames(chunk_latents * chunks)) for chunks in range(1, 5))


def parse_size(text: str) -> tuple[int, int]:
    """Read HEIGHTxWIDTH in pixels. Raises: ValueError saying what was expected."""
    height, separator, width = text.partition("x")
    if separator and height.isdecimal() and width.isdecimal():
        return check_size(int(height), int(width))
    raise ValueError(f"expected a size like {SIZE[0]}x{SIZE[1]} (height x width), got {text!r}")


def show_size(size: tuple[int, int]) -> str:
    """Write a height and a width as `parse_size` reads them."""
    return f"{size[0]}x{size[1]}"


def check_size(height: int, width: int) -> tuple[int, int]:
    """Check a picture size. Raises: ValueError if no released model can make such pictures."""
    for side in (height, width):
        if side % SIZE_UNIT or not SIZE_UNIT <= side <= MAX_SIDE:
            raise ValueError(
                f"expected sides in multiples of {SIZE_UNIT} up to {MAX_SIDE}, got {height}x{width}"
            )
    return height, width
