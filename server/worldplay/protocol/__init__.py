"""Messages and bytes, and the order in which they are legal: docs/protocol.md, without any I/O."""

from worldplay.protocol.connection import ClientConnection, ServerConnection
from worldplay.protocol.errors import ErrorCode, ProtocolError

__all__ = ["ClientConnection", "ErrorCode", "ProtocolError", "ServerConnection"]
