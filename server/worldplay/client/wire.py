"""A client's socket: sends and receives messages, and says in one sentence why a visit cannot go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection as Socket
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from worldplay.protocol.connection import ClientConnection
from worldplay.protocol.errors import ProtocolError
from worldplay.protocol.messages import SUBPROTOCOL, ClientMessage, Error, ServerMessage

CONNECT_S = 10.0
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


class VisitEndedError(Exception):
    """The visit cannot go on; the message is one sentence for people."""


def find_socket(url: str) -> str:
    """Return the address of a server's WebSocket: `/ws`, if the URL has no path.

    Raises: ValueError for something else than a URL of a server.
    """
    expected = f"expected a URL like ws://127.0.0.1:8000, got {url!r}"
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError(expected)
    path = "/ws" if parts.path in ("", "/") else parts.path
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))


class Wire:
    """An open connection to a server."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._connection = ClientConnection()

    def send(self, message: ClientMessage) -> None:
        """Raises: VisitEndedError if the connection is lost."""
        with _in_one_sentence():
            self._socket.send(self._connection.send(message))

    def receive(self, timeout_s: float) -> ServerMessage | None:
        """Return the next message; None if there is none in time.

        Raises: VisitEndedError if the connection is lost, or the server reports an error or
                breaks the protocol.
        """
        with _in_one_sentence():
            try:
                frame = self._socket.recv(timeout_s)
            except TimeoutError:
                return None
            message = self._connection.receive(frame)
        if isinstance(message, Error):
            raise VisitEndedError(f"the server refused with {message.code.value}: {message.message}")
        return message


@contextmanager
def open_wire(url: str) -> Iterator[Wire]:
    """Connect to the address that `find_socket` returns. Raises: VisitEndedError if that fails."""
    try:
        socket = connect(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=None,
            open_timeout=CONNECT_S,
            close_timeout=2.0,
        )
    except InvalidStatus as error:
        raise VisitEndedError(
            f"the server refused the connection with HTTP {error.response.status_code}"
        ) from None
    except (OSError, WebSocketException) as error:
        raise VisitEndedError(f"no connection to {url}: {error}") from None
    with socket:
        yield Wire(socket)


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    try:
        yield
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 1006
        raise VisitEndedError(f"the connection was lost, with close code {code}") from None
    except ProtocolError as error:
        raise VisitEndedError(f"the server broke protocol 1: {error}") from None
