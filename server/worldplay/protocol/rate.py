"""How many messages a peer may send: a token bucket that is told the time."""


class TokenBucket:
    def __init__(self, per_second: float, burst: float) -> None:
        self.per_ms = per_second / 1000
        self.burst = burst
        self.tokens = burst
        self.at_ms: float | None = None

    def take(self, now_ms: float) -> bool:
        """Take one token if there is one; now_ms is of any clock that never goes back."""
        elapsed_ms = 0.0 if self.at_ms is None else now_ms - self.at_ms
        self.at_ms = now_ms
        self.tokens = min(self.burst, self.tokens + elapsed_ms * self.per_ms)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
