"""How many frames a clip has, and how large they are (docs/worldplay-model.md 13)."""

from worldplay.wording import show

FRAMES_PER_LATENT = 4  # but one of the first latent of a walk

SIZE = (480, 832)  # (height, width) the released models were trained at
SIZE_UNIT = 16  # pixels per latent
MAX_SIDE = 1280


def count_frames(num_latents: int) -> int:
    """Video frames of a walk's first latents."""
    return max(0, FRAMES_PER_LATENT * (num_latents - 1) + 1)


def count_latents(num_frames: int) -> int:
    """Latents all of whose frames are among a walk's first `num_frames`."""
    return max(0, (num_frames - 1) // FRAMES_PER_LATENT + 1)


def check_num_frames(num_frames: int, chunk_latents: int, max_frames: int) -> int:
    """Count the latents of a clip.

    Raises: ValueError naming the nearest counts that make whole chunks, max_frames at most.
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
    """The nearest valid count under num_frames and the nearest not under it, None where there is none."""
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


def check_size(height: int, width: int) -> tuple[int, int]:
    """Raises: ValueError if no released model can make such pictures."""
    for side in (height, width):
        if side % SIZE_UNIT or not SIZE_UNIT <= side <= MAX_SIDE:
            raise ValueError(
                f"expected sides in multiples of {SIZE_UNIT} up to {MAX_SIDE}, got {height}x{width}"
            )
    return height, width
