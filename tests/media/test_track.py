"""Tests of the whole track: init segment and fragments, one after the other, are a video."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from support.pictures import HEIGHT, WIDTH, Frame, bt709_rgb, decode_file, moving_bars
from worldplay.media.encoder import EncodedFrame
from worldplay.media.track import VideoTrack

CHUNK = 16


def encode_chunks(track: VideoTrack, frames: list[Frame]) -> list[EncodedFrame]:
    return [track.encode(frame, key=i % CHUNK == 0) for i, frame in enumerate(frames)]


def concatenate(track: VideoTrack, samples: list[EncodedFrame], first: int = 0) -> bytes:
    fragments = [track.fragment(sample, first + i) for i, sample in enumerate(samples)]
    return b"".join([track.init_segment, *fragments])


def assert_shows(data: bytes, frames: list[Frame]) -> None:
    pictures = decode_file(data)
    assert len(pictures) == len(frames)
    for picture, frame in zip(pictures, frames, strict=True):
        # Mean, as 4:2:0 chroma and quantisation blur what is sharp.
        assert np.abs(bt709_rgb(picture) - frame).mean() < 3


def test_track_names_its_mime_type() -> None:
    track = VideoTrack(WIDTH, HEIGHT, fps=24)
    assert (track.codec, track.mime) == ("avc1.64000a", 'video/mp4; codecs="avc1.64000a"')


@pytest.mark.parametrize("fps", [0, -24, 7])
def test_track_refuses_rates_that_the_timescale_cannot_count(fps: int) -> None:
    with pytest.raises(ValueError, match=f"frames per second that divide 24000, got {fps}"):
        VideoTrack(WIDTH, HEIGHT, fps)


def test_fragments_concatenate_to_the_video() -> None:
    track, frames = VideoTrack(WIDTH, HEIGHT, fps=24), moving_bars(40)
    data = concatenate(track, encode_chunks(track, frames))
    assert_shows(data, frames)
    with av.open(io.BytesIO(data), "r") as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert (
        [packet.pts for packet in packets]
        == [packet.dts for packet in packets]
        == list(range(0, 40_000, 1000))
    )
    assert {packet.duration for packet in packets} == {1000}
    assert [i for i, packet in enumerate(packets) if packet.is_keyframe] == [0, 16, 32]


def test_samples_of_dropped_chunks_leave_no_gap() -> None:
    track, frames = VideoTrack(WIDTH, HEIGHT, fps=24), moving_bars(5 * CHUNK)
    samples = encode_chunks(track, frames)
    kept = [*range(CHUNK), *range(3 * CHUNK, 5 * CHUNK)]
    data = concatenate(track, [samples[i] for i in kept])
    assert_shows(data, [frames[i] for i in kept])
    assert [picture.pts for picture in decode_file(data)] == [1000 * i for i in range(len(kept))]


def test_decoding_starts_at_any_keyframe() -> None:
    track, frames = VideoTrack(WIDTH, HEIGHT, fps=24), moving_bars(2 * CHUNK)
    samples = encode_chunks(track, frames)
    assert_shows(concatenate(track, samples[CHUNK:], first=CHUNK), frames[CHUNK:])


@pytest.mark.parametrize("start_s", [86_400, 2**32 // 24_000])
def test_timeline_goes_on_after_a_day_and_over_32_bits(start_s: int) -> None:
    track, frames = VideoTrack(WIDTH, HEIGHT, fps=24), moving_bars(2 * CHUNK)
    data = concatenate(track, encode_chunks(track, frames), first=24 * start_s)
    assert [picture.pts for picture in decode_file(data)] == [
        24_000 * start_s + 1000 * i for i in range(2 * CHUNK)
    ]


def test_first_and_last_fragment_differ_only_in_place() -> None:
    track = VideoTrack(WIDTH, HEIGHT, fps=24)
    sample = track.encode(moving_bars(1)[0], key=True)
    one, other = track.fragment(sample, 0), track.fragment(sample, 2_073_600)
    assert len(one) == len(other) == 108 + len(sample.data)
    assert one[-len(sample.data) :] == other[-len(sample.data) :] == sample.data


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed (Debian: ffmpeg)")
@pytest.mark.parametrize("first", [0, 24 * 86_400])
def test_ffprobe_finds_no_fault(first: int, tmp_path: Path) -> None:
    track, frames = VideoTrack(WIDTH, HEIGHT, fps=24), moving_bars(3 * CHUNK)
    path = tmp_path / "walk.mp4"
    path.write_bytes(concatenate(track, encode_chunks(track, frames), first))
    command = ["ffprobe", "-v", "warning", "-of", "json", "-count_frames", "-show_streams", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=30)
    assert done.stderr == ""
    (stream,) = json.loads(done.stdout)["streams"]
    expected = {
        "codec_name": "h264",
        "width": 160,
        "height": 96,
        "has_b_frames": 0,
        "avg_frame_rate": "24/1",
        "sample_aspect_ratio": "1:1",
        "color_range": "tv",
        "color_space": "bt709",
        "color_transfer": "bt709",
        "color_primaries": "bt709",
        "start_pts": 1000 * first,
        "nb_read_frames": "48",
    }
    assert {name: stream[name] for name in expected} == expected
