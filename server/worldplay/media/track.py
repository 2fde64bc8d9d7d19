"""One video, from frames to MP4 fragments with a time on the media timeline."""

import numpy as np
from numpy.typing import NDArray

from worldplay.media.codecs import X264
from worldplay.media.encoder import EncodedFrame, H264Encoder
from worldplay.media.fmp4 import TIMESCALE, fragment, init_segment, move


class VideoTrack:
    """Encodes frames when they are made, and gives them their time when they are sent.

    A sample gets its time only in `fragment`. So the sender may drop the samples from one keyframe to another
    and number the others without a gap; players stop at a gap in `tfdt`. The init segment and all fragments
    sent after it form a valid file.
    """

    def __init__(self, width: int, height: int, fps: int, codec: str = X264) -> None:
        """`codec`: one of CODECS."""
        if fps <= 0 or TIMESCALE % fps:
            raise ValueError(f"expected frames per second that divide {TIMESCALE}, got {fps}")
        self._encoder = H264Encoder(width, height, fps, codec)
        self._frame_ticks = TIMESCALE // fps
        self.codec = self._encoder.codec
        self.mime = f'video/mp4; codecs="{self.codec}"'
        self.init_segment = init_segment(width, height, self._encoder.avcc)
        self.frame_duration_s = 1 / fps

    def encode(self, frame: NDArray[np.uint8], key: bool) -> EncodedFrame:
        """Encode the next frame as the encoder does. `key` makes it a keyframe, as each chunk's first."""
        return self._encoder.encode(frame, key)

    def fragment(self, sample: EncodedFrame, frame_number: int) -> bytes:
        """Make a sample's fragment. frame_number counts the frames sent since the init segment, from 0."""
        ticks = self._frame_ticks
        return fragment(frame_number + 1, frame_number * ticks, ticks, sample.data, sample.key)

    def move(self, data: bytes, frame_number: int) -> bytes:
        """Return a fragment as that of another number."""
        return move(data, frame_number + 1, frame_number * self._frame_ticks)
