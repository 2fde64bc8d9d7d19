"""The recording of one walk, as it is written. Recorder's thread only."""

import secrets
from collections.abc import Callable

from worldplay.media.fmp4 import move, read_head
from worldplay.media.seekable import MAX_CHAPTERS
from worldplay.store.about import hash_key
from worldplay.store.errors import MissingRecordingError
from worldplay.store.recording_about import Mark, RecordingAbout
from worldplay.store.recordings import Recordings

MakeToken = Callable[[str, int], str]  # of a link: (name of the recording, links that were revoked)


class LimitError(Exception):
    """The recording is as long as allowed."""


class Take:
    """Writes one video, whose frames are numbered from 0. No file stays open between two calls.

    All methods raise OSError, RecordingsFullError if there is no room for more recordings, and TakenOverError
    if another server goes on with this one.
    """

    def __init__(self, recordings: Recordings, id: str, about: RecordingAbout) -> None:
        self._recordings = recordings
        self._id = id
        self._about = about
        self._end = about.init_bytes
        self._num_frames = 0
        self._title: str | None = None  # of the chapter that begins with the next frame

    @classmethod
    def begin(cls, recordings: Recordings, id: str, key: str, walk: str, init: bytes) -> "Take":
        """Begin the recording of a walk in place of the session's last one."""
        about = RecordingAbout(key=key, walk=walk, take=secrets.token_hex(8), init_bytes=len(init))
        recordings.begin(id, about, init)
        return cls(recordings, id, about)

    @classmethod
    def go_on(cls, recordings: Recordings, id: str, key: str, walk: str, init: bytes) -> "Take | None":
        """Go on with a recording of the same session's same walk. None: there is none that fits."""
        try:
            found = recordings.find(id)
        except MissingRecordingError:
            return None
        if (found.about.key, found.about.walk, found.init) != (key, walk, init):
            return None
        about = found.about.model_copy(update={"is_finished": False})
        recordings.go_on(id, about, found.index.end)
        take = cls(recordings, id, about)
        take._end, take._num_frames = found.index.end, found.index.num_frames
        return take

    def begin_chapter(self, title: str) -> None:
        """Begin a chapter with the next frame, unless the one in progress has the same title."""
        chapters = self._about.chapters
        is_new = not chapters or chapters[-1].title != title
        self._title = title if is_new and len(chapters) < MAX_CHAPTERS else None

    def write(self, fragments: list[bytes]) -> None:
        """Write the next frames. Raises: LimitError if they are too many."""
        if self._title is not None:
            mark = Mark(frame=self._num_frames, title=self._title)
            self._about = self._about.model_copy(update={"chapters": (*self._about.chapters, mark)})
            self._title = None
            self._recordings.describe(self._id, self._about)
        data = b"".join(map(self._place, fragments))
        if self._end + len(data) > self._recordings.limits.walk_bytes:
            raise LimitError
        self._recordings.append(self._id, self._about, self._end, data)
        self._end += len(data)

    def _place(self, fragment: bytes) -> bytes:
        """Give a fragment the recording's next number."""
        head, number = read_head(fragment), self._num_frames
        assert head is not None, "a fragment of another writer"
        self._num_frames += 1
        return move(fragment, number + 1, number * head.duration)

    def share(self, make_token: MakeToken) -> str:
        """Let a link open the recording. Returns: its token, which is the same until it is revoked."""
        token = make_token(self._about.take, self._about.num_revoked)
        self._about = self._about.model_copy(update={"link": hash_key(token)})
        self._recordings.describe_link(self._id, self._about)
        return token

    def revoke(self) -> None:
        """Let its link work no more, also if the disk is full."""
        changes = {"link": "", "num_revoked": self._about.num_revoked + 1}
        self._about = self._about.model_copy(update=changes)
        try:
            self._recordings.describe_link(self._id, self._about)
        except OSError:
            self._recordings.blank_link(self._id)

    def write_walk(self, data: bytes) -> None:
        """Write the walk beside the video."""
        self._recordings.write_walk(self._id, data)
