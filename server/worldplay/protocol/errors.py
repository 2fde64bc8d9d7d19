"""Error codes that a client can get, and the exception that carries one."""

from enum import Enum


class ErrorCode(str, Enum):
    TEXT_FRAME = "text_frame"
    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    BAD_FIELD = "bad_field"
    TOO_LARGE = "too_large"
    BAD_ORDER = "bad_order"
    UNAUTHORIZED = "unauthorized"
    TOO_FAST = "too_fast"
    SLOW_CONSUMER = "slow_consumer"
    TAKEN_OVER = "taken_over"
    NOT_FOUND = "not_found"
    BAD_IMAGE = "bad_image"
    BAD_POSE = "bad_pose"
    BAD_REQUEST = "bad_request"
    BUSY = "busy"
    OUT_OF_MEMORY = "out_of_memory"
    INTERNAL = "internal"


# As in docs/protocol.md. None: the session goes on.
CLOSE_CODES: dict[ErrorCode, int | None] = {
    ErrorCode.TEXT_FRAME: 1003,
    ErrorCode.MALFORMED: 1007,
    ErrorCode.UNKNOWN_TYPE: 1002,
    ErrorCode.BAD_FIELD: 1007,
    ErrorCode.TOO_LARGE: 1009,
    ErrorCode.BAD_ORDER: 1002,
    ErrorCode.UNAUTHORIZED: 1008,
    ErrorCode.TOO_FAST: 1008,
    ErrorCode.SLOW_CONSUMER: 1008,
    ErrorCode.TAKEN_OVER: 1008,
    ErrorCode.NOT_FOUND: 1008,
    ErrorCode.BAD_IMAGE: None,
    ErrorCode.BAD_POSE: None,
    ErrorCode.BAD_REQUEST: None,
    ErrorCode.BUSY: 1013,
    ErrorCode.OUT_OF_MEMORY: 1011,
    ErrorCode.INTERNAL: 1011,
}

RETRYABLE = frozenset(
    {ErrorCode.TOO_FAST, ErrorCode.SLOW_CONSUMER, ErrorCode.BUSY, ErrorCode.OUT_OF_MEMORY, ErrorCode.INTERNAL}
)


class ProtocolError(Exception):
    """The client broke docs/protocol.md, or asked for something that is not possible."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code.value}: {message}")
        self.code = code
        self.message = message

    @property
    def close_code(self) -> int | None:
        """Return the WebSocket close code; None if the session goes on."""
        return CLOSE_CODES[self.code]

    @property
    def fatal(self) -> bool:
        return self.close_code is not None

    @property
    def retryable(self) -> bool:
        return self.code in RETRYABLE
