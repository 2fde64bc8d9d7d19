"""What a session records of itself: the messages that it is sent, and where its walk goes."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from functools import partial

from worldplay.engine.ports import WalkPort
from worldplay.protocol import messages as m
from worldplay.store.tape import Begin, Finish, Fragment, Revoke, Share, Sync, Tape, Title, Walk
from worldplay.web.recording_links import make_recording_token
from worldplay.web.send_queue import post
from worldplay.world.recorded_walk import describe_walk
from worldplay.world.snapshot import WalkedPath
from worldplay.world.world import World

REVOKE_S = 5.0  # for a link that was revoked to be revoked on disk, too
MAX_TITLE_CHARS = 255  # a file holds as many bytes


class SessionRecording:
    """Puts on tape what one session is sent. Event loop only, but for `walked`.

    Each walk is a recording of its own: an `init` begins it. Its chapters begin where its prompts change.
    """

    def __init__(self, tape: Tape, world: World) -> None:
        self._tape = tape
        self._world = world
        self._path: WalkedPath | None = None
        self._opened: deque[str] = deque()  # walks that are open, but whose `init` is not sent yet
        self._is_over = False
        # Counts what describing the walk computes, in the end.
        self.counted: Callable[[Callable[[], bytes]], Callable[[], bytes]] = lambda describe: describe

    def walked(self, walk: WalkPort) -> None:
        """Note where the walk went. Worker thread; a walk calls it before its `init` is sent."""
        before, self._path = self._path, walk.path()
        if before is None or before.beginning.walk != self._path.beginning.walk:
            self._opened.append(self._path.beginning.walk)

    def note(self, message: m.ServerMessage) -> None:
        """Record a message that is sent."""
        match message:
            case m.Init(data=data):
                self._tape.put(Begin(data, self._opened.popleft()))
            case m.Chunk(index=index) if self._path is not None:
                self._tape.put(Title(self._title_of(index, self._path)))
            case m.Media(data=data):
                self._tape.put(Fragment(data))

    def _title_of(self, chunk: int, path: WalkedPath) -> str:
        """Return the title of a chunk's chapter: its prompt, or the place where the walk began."""
        prompt = path.prompt_at(chunk * self._world.chunk_latents)
        return (prompt or self._world.find_view(path.beginning.view).title)[:MAX_TITLE_CHARS]

    async def sync(self, timeout_s: float) -> None:
        """Wait until all that was sent is written, but no longer than this."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        self._tape.put(Sync(lambda: post(loop, _set, done)))
        try:
            await asyncio.wait_for(done.wait(), timeout_s)
        except asyncio.TimeoutError:  # Python 3.10 has its own beside TimeoutError
            return

    def share(self, secret: str, tell: Callable[[str | None], None]) -> None:
        """Let a link open the recording.

        Args:
            secret: the session's.
            tell: gets the link's token; None if nothing is recorded. Not called while the disk hangs.
        """
        done = partial(post, asyncio.get_running_loop(), tell)
        self._tape.put(Share(partial(make_recording_token, secret), done))

    def revoke(self, tell: Callable[[bool], None]) -> None:
        """Let the link work no more.

        Args:
            tell: gets whether that is on disk. If not, the link may work again after a restart.
        """
        loop, told = asyncio.get_running_loop(), asyncio.Event()

        def tell_once(is_written: bool) -> None:
            if not told.is_set():
                told.set()
                tell(is_written)

        loop.call_later(REVOKE_S, tell_once, False)  # the disk may hang
        self._tape.put(Revoke(partial(post, loop, tell_once)))

    async def wait_revoked(self) -> bool:
        """Let the link work no more. Returns: whether that is on disk."""
        written = asyncio.get_running_loop().create_future()
        self.revoke(written.set_result)
        return bool(await written)

    def describe(self, walk: str | None = None) -> bytes | None:
        """Describe the walk so far, as a recorded walk. Any thread.

        Returns: None if there is none, or not this one.
        """
        path = self._path
        if path is None or walk not in (None, path.beginning.walk):
            return None
        return describe_path(self._world, path)

    def end(self) -> None:
        """Write what is left. It may be called again."""
        if self._is_over:
            return
        self._is_over = True
        if self._path is not None:
            self._tape.put(Walk(self.counted(partial(describe_path, self._world, self._path))))
        self._tape.put(Finish())


def describe_path(world: World, path: WalkedPath) -> bytes:
    """Describe a walk as JSON. Any thread."""
    ground = world.find_view(path.beginning.view).make_ground()
    walk = describe_walk(path, ground, is_own_place=world.own_pictures == "as_is")
    return json.dumps(walk, ensure_ascii=False).encode()


def _set(event: asyncio.Event) -> None:
    event.set()
