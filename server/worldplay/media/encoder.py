"""Encodes frames to H.264, each immediately."""

import logging
from dataclasses import dataclass

import numpy as np
from av import FFmpegError, VideoFrame
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from worldplay.media.codecs import NVENC, X264, has_nvenc, open_codec
from worldplay.media.nal_units import make_avcc, prefix_lengths

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One access unit: length-prefixed NAL units, and whether decoding can start with it."""

    data: bytes
    key: bool


class H264Encoder:
    """A stream of frames of one size. Any thread may call it, one at a time. x264 runs without the GIL."""

    def __init__(self, width: int, height: int, fps: int, codec: str = X264) -> None:
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            raise ValueError(f"expected an even width and height (4:2:0 chroma), got {width}x{height}")
        self.width, self.height = width, height
        self._codec, self._context = open_codec(codec, width, height, fps)
        # Used for all frames: a new one would build its tables and threads again for each frame.
        self._reformatter = VideoReformatter()
        self._num_frames = 0

    @property
    def avcc(self) -> bytes:
        """The AVCDecoderConfigurationRecord (ISO 14496-15, 5.3.3.1): SPS and PPS."""
        extradata = self._context.extradata
        assert extradata is not None
        avcc = make_avcc(extradata) if self._codec.has_start_codes else extradata
        assert avcc[0] == 1, avcc
        return avcc

    @property
    def codec_name(self) -> str:
        """FFmpeg's name of the encoder in use."""
        return self._codec.name

    @property
    def codec(self) -> str:
        """RFC 6381 name; profile, constraints and level are read from the SPS."""
        return f"avc1.{self.avcc[1:4].hex()}"

    def encode(self, frame: NDArray[np.uint8], key: bool) -> EncodedFrame:
        """Encode one frame, without delay.

        Args:
            frame: [H, W, 3] uint8 RGB, or [3 * H / 2, W] uint8, planes of BT.709 in limited range, 4:2:0.
            key: makes it a keyframe; the first frame is one in any case.
        Raises: RuntimeError if the encoder holds the frame back.
        """
        shape, planes = (self.height, self.width, 3), (3 * self.height // 2, self.width)
        if frame.shape not in (shape, planes) or frame.dtype != np.uint8:
            raise ValueError(f"expected uint8 {shape} or {planes}, got {frame.dtype} {frame.shape}")
        picture = self._to_yuv(frame) if frame.shape == shape else _as_yuv(frame)
        picture.pts = self._num_frames
        picture.pict_type = PictureType.I if key else PictureType.NONE
        self._num_frames += 1
        packets = self._context.encode(picture)
        if len(packets) != 1:
            raise RuntimeError(f"expected one packet for each frame, got {len(packets)}")
        data = bytes(packets[0])
        if self._codec.has_start_codes:
            data = prefix_lengths(data)
        return EncodedFrame(data, packets[0].is_keyframe)

    def _to_yuv(self, frame: NDArray[np.uint8]) -> VideoFrame:
        return self._reformatter.reformat(
            VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame), format="rgb24"),
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )


def _as_yuv(planes: NDArray[np.uint8]) -> VideoFrame:
    picture = VideoFrame.from_ndarray(planes, format="yuv420p")
    picture.color_range, picture.colorspace = ColorRange.MPEG, Colorspace.ITU709
    return picture


def find_live_codec(width: int, height: int, fps: int) -> str:
    """Return the GPU's encoder if it works for pictures of this size, else x264; log why."""
    if not has_nvenc():
        return X264
    try:
        return _try_codec(H264Encoder(width, height, fps, NVENC))
    except (FFmpegError, RuntimeError, ValueError) as error:
        logger.info("%s does not work, x264 is used: %s", NVENC, error)
        return X264


def _try_codec(encoder: H264Encoder) -> str:
    """Return the name of an encoder that does what live video needs. Raises: RuntimeError if it does not."""
    frame, wanted = np.zeros((3 * encoder.height // 2, encoder.width), np.uint8), [True, False, True, False]
    got = [encoder.encode(frame, key).key for key in wanted]
    if got != wanted or not encoder.avcc:
        raise RuntimeError(f"expected keyframes {wanted}, got {got}")
    return encoder.codec_name
