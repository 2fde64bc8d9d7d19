"""Limits rates: a token bucket, and how much work each message of a client asks for."""

from worldplay.protocol.messages import ClientMessage, Poses, Prompt, Start

MESSAGES_PER_SECOND = 200
MESSAGES_BURST = 400
BYTES_PER_SECOND = 2**20
# Work that messages cause, apart from reading them. One unit is about a tenth of a millisecond.
WORK_PER_SECOND = 400
WORK_BURST = 4000
POSE_WORK = 0.25
TRAJECTORY_WORK = 100  # of a pose string, which may become 21 600 moves
PROMPT_WORK = 40
START_WORK = 100
PICTURE_WORK = 900  # decoding one takes up to a second of a core


class TokenBucket:
    """Limits a rate: so many tokens per second, and a burst after a pause."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_ms = per_second / 1000
        self._burst = burst
        self._tokens = burst
        self._at_ms: float | None = None

    def take(self, now_ms: float, cost: float = 1.0) -> bool:
        """Take tokens if there are enough; now_ms is of any clock that never goes back."""
        elapsed_ms = 0.0 if self._at_ms is None else now_ms - self._at_ms
        self._at_ms = now_ms
        self._tokens = min(self._burst, self._tokens + elapsed_ms * self._per_ms)
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True


def work_of(message: ClientMessage) -> float:
    """Return how much work a message asks for."""
    match message:
        case Poses(poses=poses):
            return TRAJECTORY_WORK if poses is None else len(poses) * POSE_WORK
        case Prompt():
            return PROMPT_WORK
        case Start(image=image):
            return START_WORK if image is None else START_WORK + PICTURE_WORK
        case _:
            return 0.0
