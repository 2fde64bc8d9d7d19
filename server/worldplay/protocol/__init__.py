"""The protocol of docs/protocol.md without I/O: messages, their bytes and their legal order."""

from worldplay.protocol.connection import ClientConnection, ServerConnection
from worldplay.protocol.errors import ErrorCode, ProtocolError

__all__ = ["ClientConnection", "ErrorCode", "ProtocolError", "ServerConnection"]
