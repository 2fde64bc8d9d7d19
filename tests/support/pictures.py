"""Frames to encode, and the way back from encoded samples to pictures."""

import io
from collections.abc import Iterable, Iterator

import av
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
WIDTH, HEIGHT = 160, 96


def flat(colour: tuple[int, int, int]) -> Frame:
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def moving_bars(num_frames: int) -> list[Frame]:
    """Smooth coloured bars that move 3 pixels a frame: every frame differs from every other."""
    x, y = np.arange(WIDTH), np.arange(HEIGHT)[:, None]
    return [
        np.stack(
            [
                128 + 100 * np.sin((x + 3 * i) / 17) + 0 * y,
                128 + 100 * np.cos((y - 2 * i) / 11) + 0 * x,
                np.full((HEIGHT, WIDTH), 40 + 3 * i % 200),
            ],
            axis=-1,
        ).astype(np.uint8)
        for i in range(num_frames)
    ]


def decode_file(data: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(data), "r") as container:
        return list(container.decode(video=0))


def decode_samples(avcc: bytes, samples: Iterable[bytes]) -> Iterator[av.VideoFrame]:
    """Decode samples one by one; fails if one does not give its frame at once."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata, decoder.thread_count = avcc, 1
    for sample in samples:
        (frame,) = decoder.decode(av.Packet(sample))
        yield frame


def bt709_rgb(frame: av.VideoFrame) -> NDArray[np.float64]:
    """[H, W, 3] RGB of a 4:2:0 picture, by the formulas of BT.709 for the limited range."""
    y, u, v = (np.asarray(plane, np.float64) for plane in yuv_planes(frame))
    luma = (y - 16) / 219
    blue, red = (np.kron(chroma - 128, np.ones((2, 2))) / 224 for chroma in (u, v))
    r, b = luma + 1.5748 * red, luma + 1.8556 * blue
    g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152
    return 255 * np.stack([r, g, b], axis=-1)


def yuv_planes(frame: av.VideoFrame) -> list[Frame]:
    return [
        np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]
