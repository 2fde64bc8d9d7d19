"""What a client's Accept headers choose."""

import pytest

from worldplay.web.accept import prefers_video


@pytest.mark.parametrize(
    "lines",
    [
        ["video/mp4"],
        ["VIDEO/MP4"],
        ["video/*"],
        ["video/mp4, */*;q=0.1"],
        ["video/mp4, */*"],
        ["application/json;q=0.5 , video/mp4 ; q=0.8"],
        ["application/json;q=0.5", "video/mp4"],
        ['video/mp4;codecs="avc1"'],
        ["*/*, application/json;q=0"],
    ],
)
def test_video_is_preferred(lines: list[str]) -> None:
    assert prefers_video(lines)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["*/*"],
        ["text/html"],
        ["application/json"],
        ["application/json, video/mp4;q=0"],
        ["application/json, video/mp4;q=0.1"],
        ["application/json, video/mp4"],
        ["video/mp4;q=0"],
        ["video/*, video/mp4;q=0"],
        ["video/mp4-more"],
        ["video/mp4;q=nan"],
        ["video/mp4;q=", ";q=;,,;"],
        ["video/mp4;q=2"],
    ],
)
def test_json_is_what_others_get(lines: list[str]) -> None:
    assert not prefers_video(lines)
