"""Listens to the page's WebSocket: what it sent, and what the server answered."""

from dataclasses import dataclass, field
from typing import Any

import msgpack

Message = dict[str, Any]


@dataclass  # Playwright marks the bound method, so no slots
class Wire:
    """What passed so far. It reads only fields that protocol 1 always had."""

    init_segment: bytes = b""
    fragments: list[bytes] = field(default_factory=list)  # by frame number
    _chunks: list[tuple[int, int]] = field(default_factory=list)  # newest controls included, and first frame

    def receive(self, frame: bytes | str) -> None:
        """Take a message from the server."""
        message: Message = msgpack.unpackb(frame)
        match message["type"]:
            case "init":
                self.init_segment = message["data"]
            case "media":
                assert message["frame"] == len(self.fragments), "the media timeline has a gap"
                self.fragments.append(message["data"])
            case "chunk" if message["controls_seq"] is not None:
                self._chunks.append((message["controls_seq"], message["first_frame"]))

    def first_frame(self, seq: int) -> int | None:
        """Return the first frame of the first chunk that includes these controls, once announced."""
        return next((frame for included, frame in self._chunks if included >= seq), None)
