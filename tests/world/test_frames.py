"""How many frames a clip has, and how large they are."""

import pytest

from worldplay.world.frames import (
    check_num_frames,
    check_size,
    count_frames,
    count_latents,
    parse_size,
    valid_frame_counts,
)


@pytest.mark.parametrize(("num_latents", "num_frames"), [(0, 0), (1, 1), (2, 5), (4, 13), (16, 61)])
def test_the_first_latent_is_one_frame_and_every_other_four(num_latents: int, num_frames: int) -> None:
    assert count_frames(num_latents) == num_frames
    assert count_latents(num_frames) == num_latents


def test_frames_of_a_latent_that_is_not_whole_are_not_counted() -> None:
    assert [count_latents(num_frames) for num_frames in (2, 4, 5, 8, 9)] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("num_frames", "chunk_latents", "num_latents"),
    [(13, 4, 4), (29, 4, 8), (61, 4, 16), (125, 4, 32), (61, 16, 16), (125, 16, 32)],
)
def test_whole_chunks_are_counted_in_latents(num_frames: int, chunk_latents: int, num_latents: int) -> None:
    assert check_num_frames(num_frames, chunk_latents, 2400) == num_latents


@pytest.mark.parametrize(
    ("num_frames", "chunk_latents", "nearest"),
    [
        (14, 4, (13, 29)),
        (28, 4, (13, 29)),
        (12, 4, (None, 13)),
        (0, 4, (None, 13)),
        (-50, 4, (None, 13)),
        (62, 4, (61, 77)),
        (62, 16, (61, 125)),
        (13, 16, (None, 61)),
        (29, 4, (13, 29)),
        (2397, 4, (2381, 2397)),
        (2399, 4, (2397, None)),
        (9999, 4, (2397, None)),
        (10**400, 4, (2397, None)),
        (2399, 16, (2365, None)),
    ],
)
def test_nearest_counts(num_frames: int, chunk_latents: int, nearest: tuple[int | None, int | None]) -> None:
    assert valid_frame_counts(num_frames, chunk_latents, 2400) == nearest


def test_error_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"13, 29, 45, 61 \.\.\. .* got 14; nearest is 13 or 29"):
        check_num_frames(14, 4, 2400)
    with pytest.raises(ValueError, match=r"61, 125, 189, 253 \.\.\. .* got 13; nearest is 61"):
        check_num_frames(13, 16, 2400)


def test_sizes() -> None:
    assert parse_size("352x640") == (352, 640)
    assert check_size(480, 832) == (480, 832)


@pytest.mark.parametrize(
    "text", ["480", "480x", "x832", "a480x832", "-480x832", "480x833", "0x832", "1296x832"]
)
def test_sizes_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected (a size|sides)"):
        parse_size(text)
