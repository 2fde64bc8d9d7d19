"""How long a clip can be: whole chunks only (docs/worldplay-model.md 13)."""

from worldplay.wording import show


def check_num_frames(num_frames: int, chunk_latents: int, max_frames: int) -> int:
    """Count the latent frames of a clip: the first gives one video frame, every other four.

    Raises: ValueError naming the nearest counts that make whole chunks, max_frames at most.
    """
    below, above = valid_frame_counts(num_frames, chunk_latents, max_frames)
    if num_frames == above:
        return (num_frames + 3) // 4
    nearest = " or ".join(str(count) for count in (below, above) if count is not None)
    raise ValueError(
        f"expected {_examples(chunk_latents)} ... frames (whole chunks of {chunk_latents} latents, at most "
        f"{max_frames} frames), got {show(num_frames)}; nearest is {nearest}"
    )


def valid_frame_counts(num_frames: int, chunk_latents: int, max_frames: int) -> tuple[int | None, int | None]:
    """The nearest valid count under num_frames and the nearest not under it, None where there is none."""
    chunk_frames = 4 * chunk_latents
    most = (max_frames + 3) // chunk_frames
    above = max(1, -(-(num_frames + 3) // chunk_frames))
    below = min(above - 1, most)
    return (
        below * chunk_frames - 3 if below > 0 else None,
        above * chunk_frames - 3 if above <= most else None,
    )


def _examples(chunk_latents: int) -> str:
    return ", ".join(str(4 * chunk_latents * chunks - 3) for chunks in range(1, 5))
