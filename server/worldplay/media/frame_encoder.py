"""The encoding thread of one video, live or clip, and the loop that encodes its frames."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from worldplay.media.codecs import X264
from worldplay.media.encoder import EncodedFrame
from worldplay.media.track import VideoTrack

logger = logging.getLogger(__name__)


class FrameEncoder:
    """Encodes one video on a thread of its own.

    Any thread may call `run` and `close`; the other methods are for tasks that `run` was given.
    """

    def __init__(
        self, width: int, height: int, fps: int, fail: Callable[[Exception], None], codec: str = X264
    ) -> None:
        """If a task raises, the encoder closes and calls `fail` with the error, on the encoding thread."""
        self._shape = width, height, fps, codec
        self._fail = fail
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._track: VideoTrack | None = None
        self._begins_chunk = True

    def run(self, task: Callable[..., None], *arguments: object) -> None:
        """Run a task on the encoding thread, after all earlier ones."""
        try:
            self._thread.submit(self._do, task, *arguments)
        except RuntimeError:  # the encoder was closed: the video is no longer wanted
            logger.debug("a task came after its encoder was closed")

    def close(self) -> None:
        """Take no more tasks, and forget those that have not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def track(self) -> VideoTrack:
        """Return the video's track. It is made at its first use, because opening an encoder takes time."""
        if self._track is None:
            self._track = VideoTrack(*self._shape)
        return self._track

    def begin_chunk(self) -> None:
        """Make the next frame a keyframe."""
        self._begins_chunk = True

    def encode(self, frames: NDArray[np.uint8]) -> Iterator[tuple[EncodedFrame, float]]:
        """Encode frames of H264Encoder.encode. Yields: each encoded frame, and the ms that it took."""
        track = self.track
        for frame in frames:
            began = time.perf_counter()
            encoded = track.encode(frame, key=self._begins_chunk)
            self._begins_chunk = False
            yield encoded, (time.perf_counter() - began) * 1000.0

    def _do(self, task: Callable[..., None], *arguments: object) -> None:
        try:
            task(*arguments)
        except Exception as error:  # the top of this thread: any error ends only this video
            logger.exception("encoding failed")
            self.close()
            self._fail(error)
