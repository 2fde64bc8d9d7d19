"""A short video as it is sent: an init segment, and a fragment for each frame."""

from support.pictures import HEIGHT, WIDTH, moving_bars
from worldplay.media.fragment_index import FragmentIndex
from worldplay.media.track import VideoTrack

GROUP = 16  # frames from one keyframe to the next


def sent_video(num_frames: int, first: int = 0) -> tuple[bytes, list[bytes]]:
    """Encode moving bars. Their timeline begins at frame `first`. Returns: init segment, fragments."""
    track = VideoTrack(WIDTH, HEIGHT, fps=24)
    samples = [track.encode(frame, key=i % GROUP == 0) for i, frame in enumerate(moving_bars(num_frames))]
    return track.init_segment, [track.fragment(sample, first + i) for i, sample in enumerate(samples)]


def index_of(init: bytes, data: bytes) -> FragmentIndex:
    """Index a whole file."""
    index = FragmentIndex(len(init))
    index.extend(lambda offset, size: data[offset : offset + size], len(data))
    return index
