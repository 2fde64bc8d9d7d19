"""Tests of the encoder with real x264: what its samples hold, when they come, and their colours."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from support.boxes import nal_types
from support.paths import run_python
from support.pictures import HEIGHT, WIDTH, bt709_rgb, decode_samples, flat, moving_bars
from worldplay.media import codecs
from worldplay.media import encoder as encoder_module
from worldplay.media.codecs import NVENC, X264, Codec, has_nvenc
from worldplay.media.encoder import H264Encoder, find_live_codec

NAL_SLICE, NAL_IDR, NAL_SPS, NAL_PPS = 1, 5, 7, 8


def test_codec_is_true_of_the_sps() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, fps=24)
    sps = encoder.avcc[8:]
    assert sps[0] & 31 == NAL_SPS
    assert encoder.codec == f"avc1.{sps[1]:02x}{sps[2]:02x}{sps[3]:02x}" == "avc1.64000a"


def test_codec_level_follows_the_size() -> None:
    assert H264Encoder(832, 480, fps=24).codec == "avc1.64001e"


def test_encode_makes_keyframes_where_asked_and_nowhere_else() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, fps=24)
    cuts = [flat((250, 250, 250)) if i % 5 == 4 else frame for i, frame in enumerate(moving_bars(40))]
    samples = [encoder.encode(frame, key=i in (13, 29)) for i, frame in enumerate(cuts)]
    assert [i for i, sample in enumerate(samples) if sample.key] == [0, 13, 29]
    slices = [set(nal_types(sample.data)) & {NAL_SLICE, NAL_IDR} for sample in samples]
    assert slices == [{NAL_IDR} if sample.key else {NAL_SLICE} for sample in samples]


def test_encode_leaves_parameter_sets_to_the_init_segment() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, fps=24)
    for frame in moving_bars(20):
        assert not {NAL_SPS, NAL_PPS} & set(nal_types(encoder.encode(frame, key=True).data))


@pytest.mark.parametrize(("width", "height"), [(160, 96), (832, 480)])
def test_encode_and_decode_hold_no_frame_back(width: int, height: int) -> None:
    encoder = H264Encoder(width, height, fps=24)
    frames = np.zeros((6, height, width, 3), np.uint8)
    frames += np.arange(6, dtype=np.uint8)[:, None, None, None] * 40
    decoded = decode_samples(encoder.avcc, (encoder.encode(f, key=i == 0).data for i, f in enumerate(frames)))
    for frame, picture in zip(frames, decoded, strict=True):
        np.testing.assert_allclose(bt709_rgb(picture), frame, atol=3)


COLOURS = [
    (0, 0, 0),
    (255, 255, 255),
    (128, 128, 128),
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 0),
    (90, 160, 220),
    (200, 120, 60),
    (16, 235, 128),
]


@pytest.mark.parametrize("colour", COLOURS)
def test_encode_keeps_colours_under_bt709(colour: tuple[int, int, int]) -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, fps=24)
    (picture,) = decode_samples(encoder.avcc, [encoder.encode(flat(colour), key=True).data])
    np.testing.assert_allclose(bt709_rgb(picture), flat(colour), atol=3)


def test_encode_tags_bt709_limited_range() -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, fps=24)
    (picture,) = decode_samples(encoder.avcc, [encoder.encode(flat((1, 2, 3)), key=True).data])
    assert (picture.color_range, picture.colorspace, picture.color_primaries, picture.color_trc) == (
        1,
        1,
        1,
        1,
    )


def test_encode_takes_views_and_read_only_frames() -> None:
    frame = moving_bars(1)[0]
    frame.flags.writeable = False
    padded = np.zeros((HEIGHT, 2 * WIDTH, 3), np.uint8)
    padded[:, ::2] = frame
    samples = [H264Encoder(WIDTH, HEIGHT, fps=24).encode(f, key=True) for f in (frame, padded[:, ::2])]
    assert samples[0] == samples[1]


def test_encode_runs_on_other_threads_than_the_creator() -> None:
    here, there = H264Encoder(WIDTH, HEIGHT, fps=24), H264Encoder(WIDTH, HEIGHT, fps=24)
    frames = moving_bars(8)
    expected = [here.encode(frame, key=False) for frame in frames]
    samples = []
    for frame in frames:
        with ThreadPoolExecutor(1) as new_thread:
            samples.append(new_thread.submit(there.encode, frame, False).result())
    assert samples == expected


@pytest.mark.parametrize(("width", "height"), [(161, 96), (160, 95), (0, 96), (160, -2)])
def test_encoder_refuses_sizes_without_whole_chroma(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"expected an even width and height.*got {width}x{height}"):
        H264Encoder(width, height, fps=24)


@pytest.mark.parametrize("shape", [(96, 160), (160, 96, 3), (96, 160, 4)])
def test_encode_refuses_frames_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(96, 160, 3\)"):
        H264Encoder(WIDTH, HEIGHT, fps=24).encode(np.zeros(shape, np.uint8), key=True)


def test_encode_refuses_frames_of_another_type() -> None:
    with pytest.raises(ValueError, match="got float32"):
        H264Encoder(WIDTH, HEIGHT, fps=24).encode(np.zeros((96, 160, 3), np.float32), key=True)


PEAK_MEMORY = """
import resource, sys
from support.paths import run_python
from support.pictures import moving_bars
from worldplay.media.track import VideoTrack

track, frames = VideoTrack(160, 96, 24), moving_bars(16)
for i in range(int(sys.argv[1])):
    track.fragment(track.encode(frames[i % 16], i % 16 == 0), i)
    if i == 300:
        warm = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / warm)
"""


@pytest.mark.slow
def test_memory_stays_flat_over_two_minutes_of_video() -> None:
    # A process of its own: its peak is then the encoder's, whatever ran before.
    assert float(run_python("-c", PEAK_MEMORY, "3000").stdout) < 1.02


def as_hardware(monkeypatch: pytest.MonkeyPatch, **options: str) -> None:
    """Let x264 stand in for the GPU's encoder: it writes start codes, and sets and delimiters everywhere."""
    params = "annexb=1:aud=1:repeat-headers=1:keyint=infinite:scenecut=0:bframes=0"
    standard = {"tune": "zerolatency", "forced-idr": "1", "x264-params": params}
    monkeypatch.setitem(codecs.CODECS, NVENC, Codec(X264, standard | options, has_start_codes=True))
    monkeypatch.setattr(codecs, "NVENC", X264)
    monkeypatch.setattr(encoder_module, "has_nvenc", lambda: True)


def test_the_gpus_encoder_makes_what_mp4_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    as_hardware(monkeypatch)
    encoder = H264Encoder(WIDTH, HEIGHT, 24, NVENC)
    frames = moving_bars(6)
    samples = [encoder.encode(frame, key=i == 3) for i, frame in enumerate(frames)]
    assert [sample.key for sample in samples] == [True, False, False, True, False, False]
    for sample in samples:
        assert not {NAL_SPS, NAL_PPS, 9} & set(nal_types(sample.data))
    pictures = decode_samples(encoder.avcc, (sample.data for sample in samples))
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(bt709_rgb(picture).astype(int) - frame).mean() < 12
    assert encoder.codec == f"avc1.{encoder.avcc[1:4].hex()}"


def test_the_gpus_encoder_is_taken_if_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    as_hardware(monkeypatch)
    assert find_live_codec(WIDTH, HEIGHT, 24) == X264, "the stand-in's name"


def test_an_encoder_that_holds_frames_back_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    as_hardware(monkeypatch, tune="film")
    with caplog.at_level("INFO"):
        assert find_live_codec(WIDTH, HEIGHT, 24) == X264
    assert [r.message for r in caplog.records] == [
        "h264_nvenc does not work, x264 is used: expected one packet for each frame, got 0"
    ]


def test_a_machine_without_a_gpus_encoder_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert find_live_codec(WIDTH, HEIGHT, 24) == X264
    if has_nvenc():
        (record,) = caplog.records
        assert record.message.startswith("h264_nvenc cannot be opened, x264 is used: ")
