"""Links by which others watch a walk: their tokens, and how many may watch."""

import hashlib
import hmac
import secrets
from base64 import b64decode, urlsafe_b64encode

from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.web.audience import Audience

HALF_BYTES = 16  # of a token: a nonce, then its HMAC, which shows that the session's own server made it
MISSING = "expected hello.watch to be the token of a walk that is shared, got one that is not, or no longer"
ENDED = "the walk has ended"
REVOKED = "the walk is no longer shared"


def make_watch_token(secret: str) -> str:
    """Make a token that nobody can guess, for the session with this secret."""
    nonce = secrets.token_bytes(HALF_BYTES)
    return urlsafe_b64encode(nonce + _sign(nonce, secret)).rstrip(b"=").decode()


def is_token_of(token: str, secret: str) -> bool:
    """Return whether a token was made for the session with this secret."""
    try:
        data = b64decode(token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(data[HALF_BYTES:], _sign(data[:HALF_BYTES], secret))


def _sign(nonce: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"watch" + nonce, "sha256")[:HALF_BYTES]


class WatchLinks:
    """All links of a server. They are kept in memory only. Event loop only."""

    def __init__(self, most: int, most_per_walk: int) -> None:
        """Let so many watch in all, and one walk."""
        self.most_per_walk = min(most, most_per_walk)
        self._most = most
        self._audiences: dict[bytes, Audience] = {}  # by the hash of the token: its time tells nothing
        self._tokens: dict[Audience, str] = {}

    @property
    def num_watching(self) -> int:
        """Return how many watch, all walks together."""
        return sum(map(len, self._audiences.values()))

    def share(self, audience: Audience, secret: str, token: str | None) -> str:
        """Return the token of a walk's link. There is one at a time.

        Args:
            secret: of the walk's session.
            token: of an earlier link of this session, which should work again.
        Raises: ProtocolError if this server lets nobody watch.
        """
        if self.most_per_walk == 0:
            raise ProtocolError(ErrorCode.BAD_REQUEST, "expected no share: nobody can watch on this server")
        if audience not in self._tokens:
            is_own = token is not None and is_token_of(token, secret)
            self._tokens[audience] = token if token is not None and is_own else make_watch_token(secret)
            self._audiences[_hash(self._tokens[audience])] = audience
        return self._tokens[audience]

    def close(self, audience: Audience, reason: str) -> None:
        """Let the link of a walk work no more, and say goodbye to those who watch."""
        if (token := self._tokens.pop(audience, None)) is not None:
            del self._audiences[_hash(token)]
        audience.end(reason)

    def find(self, token: str) -> Audience:
        """Find what a link shows. Raises: ProtocolError if it is not there any more, or too many watch."""
        audience = self._audiences.get(_hash(token))
        if audience is None:
            raise ProtocolError(ErrorCode.NOT_FOUND, MISSING)
        if len(audience) >= self.most_per_walk:
            raise ProtocolError(ErrorCode.BUSY, f"{len(audience)} watch this walk, and no more may")
        if self.num_watching >= self._most:
            raise ProtocolError(ErrorCode.BUSY, f"{self._most} watch on this server, and no more may")
        return audience


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
