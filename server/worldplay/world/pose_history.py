"""The inverted poses of a walk, each computed once: an hour has 21 600 of them."""

import numpy as np

from worldplay.world.camera import Pose, invert_pose

_FIRST_CAPACITY = 256


class InverseHistory:
    """The world-to-camera matrices of a walk's first latents, in an array with room for more."""

    def __init__(self) -> None:
        self._w2c: Pose = np.empty((_FIRST_CAPACITY, 4, 4))
        self._length = 0

    def extend(self, c2w: Pose, path: Pose) -> Pose:
        """Return the inverses of c2w, [T, 4, 4], and then those of a path, [n, 4, 4].

        The first of c2w are known from calls before, as far as they are not truncated.

        Returns: [T + n, 4, 4]; holds until the next call.
        """
        end = len(c2w)
        self._reserve(end + len(path))
        if self._length < end:
            self._w2c[self._length : end] = invert_pose(c2w[self._length :])
            self._length = end
        self._w2c[end : end + len(path)] = invert_pose(path)
        self.truncate(end)
        return self._w2c[: end + len(path)]

    def truncate(self, length: int) -> None:
        """Forget all inverses from `length` on."""
        self._length = min(self._length, length)

    def _reserve(self, length: int) -> None:
        if length > len(self._w2c):
            larger: Pose = np.empty((2 * length, 4, 4))
            larger[: self._length] = self._w2c[: self._length]
            self._w2c = larger
