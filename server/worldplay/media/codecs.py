"""H.264 encoders: x264, and a GPU's own where it has one (not H100, H200 and B200)."""

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from av import FFmpegError
from av.codec import codecs_available
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

logger = logging.getLogger(__name__)

X264, NVENC = "libx264", "h264_nvenc"

# Against ultrafast: 20 ms more per 16 frames of 832x480, and 40 % fewer bits.
PRESET, CRF = "superfast", "18"
# Up to this area, two thirds of that time with as many bits and the same PSNR (docs/performance.md): what
# superfast has beyond these parameters gains little in small pictures.
SMALL_AREA = 80_000
SMALL_PRESET, SMALL_CRF = "ultrafast", "19"
SMALL_PARAMS = "8x8dct=1:partitions=i4x4,i8x8:deblock=1,0,0"
# Below this area a second slice costs more time than it saves (224x128: 6.5 ms a chunk against 5.4);
# at 832x480 it brings a keyframe from 10.7 to 6.7 ms.
ONE_THREAD_AREA = 200_000
# annexb=0: length-prefixed NAL units, and SPS and PPS only in an avcC record, as MP4 needs them.
# Only the caller chooses keyframes (no scene cut, no maximum distance), and no frame refers to one before.
X264_PARAMS = "annexb=0:keyint=infinite:scenecut=0:open-gop=0:bframes=0"

_NO_KEYFRAMES = 10**6  # frames until NVENC would make one unasked: more than eleven hours


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoder of FFmpeg, set up to return every frame immediately."""

    name: str
    options: dict[str, str]
    has_start_codes: bool  # instead of lengths


CODECS = {
    X264: Codec(
        X264,
        {
            "preset": PRESET,
            "tune": "zerolatency",
            "crf": CRF,
            "forced-idr": "1",
            "x264-params": X264_PARAMS,
        },
        has_start_codes=False,
    ),
    NVENC: Codec(
        NVENC,
        {
            "preset": "p4",
            "tune": "ull",
            "rc": "constqp",
            "qp": "21",
            "zerolatency": "1",
            "delay": "0",
            "bf": "0",
            "forced-idr": "1",
        },
        has_start_codes=True,
    ),
}


def open_codec(name: str, width: int, height: int, fps: int) -> tuple[Codec, VideoCodecContext]:
    """Open an encoder, or x264 if the GPU's cannot be opened: some cards limit how many there are."""
    if name != X264:
        try:
            return CODECS[name], _open(CODECS[name], width, height, fps)
        except FFmpegError as error:
            logger.info("%s cannot be opened, x264 is used: %s", name, error)
    return CODECS[X264], _open(CODECS[X264], width, height, fps)


def has_nvenc() -> bool:
    """Return whether PyAV was built with NVENC. Whether it can be opened is another question."""
    return NVENC in codecs_available


def _open(codec: Codec, width: int, height: int, fps: int) -> VideoCodecContext:
    context = cast(VideoCodecContext, VideoCodecContext.create(codec.name, "w"))
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base = Fraction(fps), Fraction(1, fps)
    context.color_range = ColorRange.MPEG
    context.colorspace = Colorspace.ITU709
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    context.flags |= Flags.global_header
    if codec.name == NVENC:
        context.gop_size = _NO_KEYFRAMES
    else:
        context.thread_count = 1 if width * height < ONE_THREAD_AREA else 2
    context.options = _list_options(codec, width * height)
    context.open()
    return context


def _list_options(codec: Codec, area: int) -> dict[str, str]:
    if codec.name != X264 or area > SMALL_AREA:
        return dict(codec.options)
    params = f"{codec.options['x264-params']}:{SMALL_PARAMS}"
    return {**codec.options, "preset": SMALL_PRESET, "crf": SMALL_CRF, "x264-params": params}
