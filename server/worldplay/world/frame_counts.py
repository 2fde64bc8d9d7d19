"""How long a clip can be: whole chunks only (docs/worldplay-model.md 13)."""


def check_num_frames(num_frames: int, chunk_latents: int) -> int:
    """Count the latent frames of a clip: the first gives one video frame, every other four.

    Raises: ValueError naming the nearest counts that make whole chunks.
    """
    below, above = valid_frame_counts(num_frames, chunk_latents)
    if num_frames == above:
        return (num_frames + 3) // 4
    nearest = f"{below} or {above}" if below is not None else f"{above}"
    raise ValueError(
        f"expected {_examples(chunk_latents)} ... frames (whole chunks of {chunk_latents} latents), "
        f"got {num_frames}; nearest is {nearest}"
    )


def valid_frame_counts(num_frames: int, chunk_latents: int) -> tuple[int | None, int]:
    """The nearest valid count under num_frames, None if there is none, and the nearest not under it."""
    chunk_frames = 4 * chunk_latents
    chunks = max(1, -(-(num_frames + 3) // chunk_frames))
    below = (chunks - 1) * chunk_frames - 3
    return (below if below > 0 else None), chunks * chunk_frames - 3


def _examples(chunk_latents: int) -> str:
    return ", ".join(str(4 * chunk_latents * chunks - 3) for chunks in range(1, 5))
