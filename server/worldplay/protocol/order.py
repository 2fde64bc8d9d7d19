"""Checks the order of messages, in both directions."""

from worldplay.protocol.messages import (
    Bookmarked,
    Bye,
    Chunk,
    Error,
    Init,
    Media,
    Pong,
    Queued,
    Received,
    ServerMessage,
    Shared,
    State,
    Watchers,
    Welcome,
)


class ClientOrder:
    """What a client may send: `hello`, then `ping` and `start`, then everything; nothing after `stop`.

    A client that watches may only send `ping` and `stop` after `hello`.
    """

    def __init__(self) -> None:
        self.greeted = False
        self.watches = False
        self.started = False
        self.stopped = False
        self.last_seq = -1

    def find_fault(self, kind: str) -> str | None:
        """Return what was expected instead of this type; None if it is legal, which counts it as sent."""
        if self.stopped:
            return f"expected nothing after stop, got {kind}"
        if self.greeted == (kind == "hello"):
            return (
                "expected hello only once, got another"
                if self.greeted
                else f"expected hello first, got {kind}"
            )
        if self.watches and kind not in ("ping", "stop"):
            return f"expected ping or stop of a client that watches, got {kind}"
        if not (self.started or self.watches) and kind not in ("hello", "start", "ping"):
            return f"expected start or ping before the first start, got {kind}"
        self.greeted = True
        self.started = self.started or kind == "start"
        self.stopped = kind == "stop"
        return None

    def find_seq_fault(self, seq: int) -> str | None:
        if seq <= self.last_seq:
            return f"expected a seq over {self.last_seq}, got {seq}"
        self.last_seq = seq
        return None


class ServerOrder:
    """What a server may send: `welcome`, then answers, then streams, each opened by an `init`."""

    def __init__(self) -> None:
        self.welcomed = False
        self.resumed = False
        self.initialised = False
        self.ended = False
        self.chunk: Chunk | None = None
        self.next_frame: int | None = None  # the timeline of a resumed session does not begin at 0

    def find_fault(self, message: ServerMessage) -> str | None:
        """Return what was expected instead of this message; None if it is legal, which counts it as sent."""
        fault = self._find_stage_fault(message) or self._find_stream_fault(message)
        if fault is None:
            self._advance(message)
        return fault

    def _find_stage_fault(self, message: ServerMessage) -> str | None:
        if self.ended:
            return f"expected nothing after bye or a fatal error, got {message.type}"
        if isinstance(message, Welcome) and self.welcomed:
            return "expected welcome only once, got another"
        if not (self.welcomed or isinstance(message, Welcome | Error | Bye)):
            return f"expected welcome first, got {message.type}"
        return None

    def _find_stream_fault(self, message: ServerMessage) -> str | None:
        if isinstance(message, Chunk | Media) and not self.initialised:
            return f"expected init first, got {message.type}"
        if isinstance(message, Chunk) and self.next_frame not in (None, message.first_frame):
            return f"expected first_frame {self.next_frame}, got {message.first_frame}"
        if isinstance(message, Media):
            return self._find_media_fault(message)
        return None

    def _find_media_fault(self, media: Media) -> str | None:
        if self.chunk is None and self.resumed:  # the chunk was announced before the connection was lost
            return self._find_frame_fault(media)
        if self.chunk is None or media.chunk != self.chunk.index:
            return f"expected media of the last chunk announced, got chunk {media.chunk}"
        if (fault := self._find_frame_fault(media)) is not None:
            return fault
        if media.frame >= self.chunk.first_frame + self.chunk.frames:
            return f"expected no more than the chunk's {self.chunk.frames} frames, got another"
        return None

    def _find_frame_fault(self, media: Media) -> str | None:
        if self.next_frame in (None, media.frame):
            return None
        return f"expected frame {self.next_frame}, got {media.frame}"

    def _advance(self, message: ServerMessage) -> None:
        match message:
            case Welcome(resumed=resumed):
                self.welcomed = True
                # What the client got before is still valid.
                self.resumed = self.initialised = resumed
            case Init():
                self.initialised, self.resumed, self.chunk = True, False, None
            case Chunk(first_frame=first_frame):
                self.chunk, self.next_frame = message, first_frame
            case Media(frame=frame):
                self.next_frame = frame + 1
            case Error(fatal=fatal):
                self.ended = fatal
            case Queued() | State() | Pong() | Received() | Bookmarked() | Shared() | Watchers():
                pass
            case _:
                self.ended = True
