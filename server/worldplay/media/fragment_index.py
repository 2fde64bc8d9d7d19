"""Finds the fragments of a file that was written fragment by fragment, up to its last complete one."""

import copy
from array import array
from collections.abc import Callable

from worldplay.media.fmp4 import FRAGMENT_HEAD_BYTES, read_head

Read = Callable[[int, int], bytes]  # (offset, most bytes); less at the end of the file


class FragmentIndex:
    """Where the frames of a file are. It can be extended while the file grows."""

    def __init__(self, init_bytes: int) -> None:
        """`init_bytes`: size of the init segment, which the fragments follow."""
        self.init_bytes = init_bytes
        self.end = init_bytes  # of the last complete fragment
        self.num_frames = 0
        self.frame_ticks = 0  # of each frame; 0 if there is none
        self.key_frames = array("Q")
        self.key_offsets = array("Q")  # where in the file each of these begins

    @property
    def duration(self) -> int:
        """In ticks of TIMESCALE."""
        return self.num_frames * self.frame_ticks

    def copy(self) -> "FragmentIndex":
        """Return the index as it is now."""
        return copy.deepcopy(self)

    def extend(self, read: Read, num_bytes: int) -> None:
        """Read on in a file that has this many bytes. What is no complete fragment is not looked at."""
        while (head := read_head(read(self.end, FRAGMENT_HEAD_BYTES))) is not None:
            if self.end + head.num_bytes > num_bytes:
                return
            if head.key:
                self.key_frames.append(self.num_frames)
                self.key_offsets.append(self.end)
            self.num_frames += 1
            self.frame_ticks = head.duration
            self.end += head.num_bytes
