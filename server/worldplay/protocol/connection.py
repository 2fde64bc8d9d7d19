"""Both sides of a connection: converts frames to messages and back, and checks their order. No I/O."""

import hmac

from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.messages import (
    CLIENT_MESSAGES,
    SERVER_MESSAGES,
    ClientMessage,
    Controls,
    Hello,
    Limits,
    Poses,
    Prompt,
    ServerMessage,
    Start,
    Welcome,
)
from worldplay.protocol.order import ClientOrder, ServerOrder
from worldplay.protocol.rate import (
    BYTES_PER_SECOND,
    MESSAGES_BURST,
    MESSAGES_PER_SECOND,
    WORK_BURST,
    WORK_PER_SECOND,
    TokenBucket,
    work_of,
)
from worldplay.protocol.validation import find_class, validate
from worldplay.protocol.wire import SMALL_FRAME_BYTES, check_size, pack, unpack


class ServerConnection:
    """The server's side: refuses invalid messages of the client, and asserts that its own are in order."""

    def __init__(self, limits: Limits, token: str | None = None) -> None:
        assert limits.message_bytes >= limits.image_bytes + SMALL_FRAME_BYTES, limits
        self._limits = limits
        self._token = token
        self._rate = TokenBucket(MESSAGES_PER_SECOND, MESSAGES_BURST)
        self._work = TokenBucket(WORK_PER_SECOND, WORK_BURST)
        self._bytes = TokenBucket(BYTES_PER_SECOND, 4 * limits.message_bytes)
        self._client = ClientOrder()
        self._server = ServerOrder()

    @property
    def has_greeted(self) -> bool:
        return self._client.greeted

    @property
    def has_stopped(self) -> bool:
        return self._client.stopped

    def receive(self, frame: bytes | str, now_ms: float) -> ClientMessage:
        """Decode one frame of the client.

        Raises: ProtocolError. After a fatal one nothing more may be received.
        """
        if not self._rate.take(now_ms):
            limit = f"{MESSAGES_PER_SECOND} messages a second in bursts of {MESSAGES_BURST}"
            raise ProtocolError(ErrorCode.TOO_FAST, f"expected at most {limit}, got more")
        if not self._bytes.take(now_ms, len(frame)):
            limit = f"{BYTES_PER_SECOND} bytes a second on average"
            raise ProtocolError(ErrorCode.TOO_FAST, f"expected at most {limit}, got more")
        if isinstance(frame, str):
            raise ProtocolError(
                ErrorCode.TEXT_FRAME, f"expected a binary frame, got {len(frame)} characters of text"
            )
        check_size(frame, self._limits.message_bytes)
        fields = unpack(frame)
        cls = find_class(CLIENT_MESSAGES, fields["type"])
        _check_order(self._client.find_fault(fields["type"]))
        message = validate(cls, fields)
        self._check(message)
        if not self._work.take(now_ms, work_of(message)):
            expected = f"less work than these {message.type} messages ask for"
            raise ProtocolError(ErrorCode.TOO_FAST, f"expected {expected}")
        return message

    def send(self, message: ServerMessage) -> bytes:
        """Encode one message of the server."""
        self.check(message)
        return pack(message)

    def check(self, message: ServerMessage) -> None:
        """Assert that a message is in order, and count it as sent."""
        fault = self._server.find_fault(message)
        assert fault is None, fault
        assert self._client.greeted or message.type in ("error", "bye"), f"{message.type} before hello"
        if isinstance(message, Welcome) and message.resumed:
            self._client.started = True  # on an earlier connection

    def _check(self, message: ClientMessage) -> None:
        match message:
            case Hello(token=token, watch=watch):
                self._check_token(token)
                self._client.watches = watch is not None
            case Controls(seq=seq):
                _check_order(self._client.find_seq_fault(seq))
            case Poses(seq=seq, poses=poses):
                _check_order(self._client.find_seq_fault(seq))
                _check_length("poses.poses", len(poses or ()), self._limits.poses, "poses")
            case Prompt(text=text):
                _check_length("prompt.text", len(text), self._limits.prompt_chars, "characters")
            case Start(prompt=prompt, image=image):
                _check_length("start.prompt", len(prompt or ""), self._limits.prompt_chars, "characters")
                self._check_image(image or b"")
            case _:
                pass

    def _check_token(self, token: str | None) -> None:
        if self._token is None:
            return
        if token is None or not hmac.compare_digest(token.encode(), self._token.encode()):
            got = "none" if token is None else "a wrong one"
            raise ProtocolError(
                ErrorCode.UNAUTHORIZED, f"expected hello.token to be this server's, got {got}"
            )

    def _check_image(self, image: bytes) -> None:
        if len(image) > self._limits.image_bytes:
            expected = f"an image of at most {self._limits.image_bytes} bytes"
            raise ProtocolError(ErrorCode.BAD_IMAGE, f"start.image: expected {expected}, got {len(image)}")


class ClientConnection:
    """The client's side: checks what it receives, but not what it sends, so that tests can send anything."""

    def __init__(self) -> None:
        self._server = ServerOrder()

    def send(self, message: ClientMessage) -> bytes:
        return pack(message)

    def receive(self, frame: bytes | str) -> ServerMessage:
        """Decode one frame of the server.

        Raises: ProtocolError when the server breaks the protocol.
        """
        if isinstance(frame, str):
            raise ProtocolError(
                ErrorCode.TEXT_FRAME, f"expected a binary frame, got {len(frame)} characters of text"
            )
        fields = unpack(frame)
        message = validate(find_class(SERVER_MESSAGES, fields["type"]), fields, ignore_unknown=True)
        _check_order(self._server.find_fault(message))
        return message


def _check_order(fault: str | None) -> None:
    if fault is not None:
        raise ProtocolError(ErrorCode.BAD_ORDER, fault)


def _check_length(field: str, length: int, limit: int, unit: str) -> None:
    if length > limit:
        raise ProtocolError(ErrorCode.BAD_FIELD, f"{field}: expected at most {limit} {unit}, got {length}")
