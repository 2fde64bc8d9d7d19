"""Limits what all connections of one address may send together."""

from cachetools import LRUCache

from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.rate import TokenBucket
from worldplay.web.connections import group_address

MESSAGES_PER_SECOND, MESSAGES_BURST = 2000, 8000
BYTES_PER_SECOND, BYTES_BURST = 8 * 2**20, 128 * 2**20
REMEMBERED_ADDRESSES = 10_000  # an address that reconnects goes on with what it had left


class AddressRates:
    """The rates of all addresses. Event loop only."""

    def __init__(self) -> None:
        self._buckets: LRUCache[str, tuple[TokenBucket, TokenBucket]] = LRUCache(REMEMBERED_ADDRESSES)

    def charge(self, host: str, num_bytes: int, now_ms: float) -> None:
        """Count a message of an address. Raises: ProtocolError (too_fast)."""
        address = group_address(host)
        if address not in self._buckets:
            self._buckets[address] = (
                TokenBucket(MESSAGES_PER_SECOND, MESSAGES_BURST),
                TokenBucket(BYTES_PER_SECOND, BYTES_BURST),
            )
        messages, data = self._buckets[address]
        if not (messages.take(now_ms) and data.take(now_ms, num_bytes)):
            limit = f"{MESSAGES_PER_SECOND} messages and {BYTES_PER_SECOND} bytes a second from one address"
            raise ProtocolError(ErrorCode.TOO_FAST, f"expected at most {limit}, got more")
