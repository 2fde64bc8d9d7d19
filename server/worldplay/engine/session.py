"""One session: takes its client's requests from any thread, and gives the worker its next task."""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock

from worldplay.engine.activity import Activity
from worldplay.engine.command_queue import MAX_COMMANDS, CommandQueue
from worldplay.engine.controls import ControlState
from worldplay.engine.deadline import Task
from worldplay.engine.pacing import Costs
from worldplay.engine.pausing import Pausing
from worldplay.engine.playback import MAX_UNENCODED_S, Playback, Playhead
from worldplay.engine.ports import Listener, WalkPort
from worldplay.engine.session_commands import Command, Copy, Open, Prompt, Rewind
from worldplay.world.frames import FPS, FRAMES_PER_LATENT
from worldplay.world.snapshot import Snapshot
from worldplay.world.steering import Move, WalkRequest

OPENING_SLACK_MS = 500.0  # a first picture may be this late: a stall while walking is worse
SECONDS_PER_LATENT = FRAMES_PER_LATENT / FPS
_MAX_NOTICES = 32

Notice = Callable[[Listener], None]


class Session:
    """A client's handle on the engine. Requests come from any thread and return at once.

    Answers come through the listener, on the engine's threads. `start`, `reset` and `rewind` cancel the chunk
    in progress at its next stage, and discard taps, looks and trajectories sent before them. After `close`
    the listener gets no more calls, except one that is already running.
    """

    def __init__(
        self,
        number: int,
        listener: Listener,
        clock: Callable[[], float],
        wake: Callable[[], None],
        media_s: float = 0.0,
        address: str = "",
        name: str = "",
    ) -> None:
        """Make a session.

        Args:
            address: its client's: sessions of one address share slots when others wait.
            name: what a slot may be reserved under; empty for a session that had none before.
        """
        self.number = number
        self.name = name
        self.address = address
        self.listener = listener
        self.walk: WalkPort | None = None  # worker thread only
        self.is_late = False  # whether the newest chunk came late; worker thread only
        self._clock = clock
        self._wake = wake
        self._lock = Lock()
        self._controls = ControlState(clock())
        self._playback = Playback(media_s)
        self._commands = CommandQueue()
        self._notices: deque[Notice] = deque(maxlen=_MAX_NOTICES)
        self._num_chunks: int | None = None  # once all commands are done; None: no walk
        self._pausing = Pausing()
        self._is_closed = False
        self.activity = Activity(clock())
        self.is_held = False  # its slot goes to somebody else, as soon as its chunk is finished
        self._is_away = False
        self.lacks_slot = False  # it had one, and gave it back; worker thread only
        self._opened_ms = 0.0
        self._served_ms = 0.0

    # -- any thread: what the client asks for

    def start(self, request: WalkRequest) -> None:
        """Open a walk. Waiting commands for the current one are dropped."""
        with self._lock:
            num_staying = self._commands.num_staying
            self._commands.drop_requests()
            self._pausing.start()
            self._change(Open(request, num_staying), num_chunks=0)
        self._wake()

    def reset(self) -> None:
        self._rewind(0, "reset")

    def rewind(self, chunk: int) -> None:
        """Continue as if only chunks 0 to chunk - 1 had been made."""
        self._rewind(chunk, "rewound")

    def prompt(self, text: str) -> None:
        with self._lock:
            self._commands.drop_newest_prompt()  # only the newest text counts
            self._command(Prompt(text))
        self._wake()

    def copy(self, deliver: Callable[[Snapshot], None]) -> None:
        """Copy the walk. `deliver` must return quickly; without a walk the client gets a `bad_request`."""
        with self._lock:
            self._command(Copy(deliver))
        self._wake()

    def controls(
        self, seq: int, t_ms: float, keys: frozenset[str], look_yaw: float = 0.0, look_pitch: float = 0.0
    ) -> None:
        """Take the full pressed state; t_ms is the client's clock."""
        now_ms = self._clock()
        with self._lock:
            self._controls.press(seq, t_ms, keys, (look_yaw, look_pitch), now_ms)
            self.activity.note_keys(bool(keys), now_ms)
        self._wake()

    def poses(self, seq: int, moves: Sequence[Move]) -> None:
        """Follow these moves, one per latent, and then the keys again."""
        with self._lock:
            self._controls.follow(seq, moves)
            self.activity.note_trajectory(len(moves) * SECONDS_PER_LATENT, self._clock())
        self._wake()

    def playhead(
        self, shown_s: float, buffered_s: float, hidden: bool, wanted_s: float | None = None
    ) -> None:
        """Update from the client's report, in seconds of media; `wanted_s` is what it wants buffered."""
        wanted_ms = None if wanted_s is None else wanted_s * 1000.0
        now_ms = self._clock()
        with self._lock:
            if self._playback.is_hidden and not hidden:
                self._controls.forget_taps(now_ms)
            self._playback.acknowledge(Playhead(shown_s, buffered_s, hidden, now_ms, wanted_ms))
            self.activity.note_report(hidden or self._pausing.is_paused, now_ms)
        self._wake()

    def media_encoded(self, duration_s: float) -> None:
        """Note that the listener has encoded frames of this duration."""
        with self._lock:
            self._playback.unencoded_s -= duration_s
        self._wake()

    def media_dropped(self, duration_s: float) -> None:
        """Note that media handed to the listener was never sent; the client's timeline goes on without it."""
        with self._lock:
            self._playback.drop(duration_s)
        self._wake()

    def pause(self) -> None:
        """Make no more chunks; a chunk that has read its controls is finished before `paused` is answered."""
        with self._lock:
            self._pausing.pause()
            self.activity.note_report(True, self._clock())
            self._notices.append(lambda listener: listener.on_state("paused", {}))
        self._wake()

    def resume(self) -> None:
        now_ms = self._clock()
        with self._lock:
            self._pausing.resume()
            self._controls.forget_taps(now_ms)
            self._playback.renew()
            self.activity.note_report(False, now_ms)
            self.activity.note_input(now_ms)
            self._notices.append(lambda listener: listener.on_state("resumed", {}))
        self._wake()

    def step(self) -> None:
        """Make exactly one chunk, while paused."""
        now_ms = self._clock()
        with self._lock:
            self.activity.note_report(False, now_ms)
            if reason := self._pausing.add_step(now_ms):
                self._refuse(reason)
        self._wake()

    def leave(self) -> None:
        """Note that the client is away: nothing is made until it is back, and no key is held."""
        now_ms = self._clock()
        with self._lock:
            self._is_away = True
            self._controls.release(now_ms)
            self.activity.note_away(True, now_ms)
            self._commands.add_rest(now_ms)
        self._wake()

    def come_back(self, resent_s: float = 0.0, skipped_s: float = 0.0) -> bool:
        """Note that the client is back, on another connection. Returns: False if the session has just ended.

        Args:
            resent_s: media that it is sent again; it may have lost all other.
            skipped_s: how far its timeline was moved on.
        """
        now_ms = self._clock()
        with self._lock:
            self._is_away = False
            self._controls.release(now_ms)  # the earlier connection may not have been lost
            self.activity.note_away(False, now_ms)
            self._playback.come_back(resent_s, skipped_s, now_ms)
            goes_on = not self._is_closed
        self._wake()
        return goes_on

    def close_if_away(self) -> bool:
        """Close the session, unless its client has come back. Returns: whether it is closed."""
        with self._lock:
            self._is_closed |= self._is_away
            return self._is_closed

    def close(self) -> None:
        """Close the session. The worker drops it at its next stage. May be called again."""
        with self._lock:
            self._is_closed = True
        self._wake()

    # -- worker thread: what to do about it

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    @property
    def is_cancelling(self) -> bool:
        """Return whether the chunk in progress is no longer wanted."""
        with self._lock:
            return self._is_closed or self._commands.has_change

    @property
    def num_chunks(self) -> int:
        """Return how many chunks the walk has, once all commands are done. Any thread."""
        return self._num_chunks or 0

    @property
    def num_staying(self) -> int | None:
        """Return how many of the walk's chunks stay after the rewinds that wait; None: all."""
        with self._lock:
            return 0 if self._is_closed else self._commands.num_staying

    @property
    def is_rewinding(self) -> bool:
        """Return whether a rewind is next, before which everything that stays is decoded."""
        with self._lock:
            return self._commands.is_rewind_next

    def take_notices(self) -> list[Notice]:
        with self._lock:
            notices = list(self._notices)
            self._notices.clear()
            return notices

    def take_command(self) -> Command | None:
        with self._lock:
            return self._commands.take(self._clock())

    def mark_slot(self, now_ms: float) -> None:
        """Note that the session has got a slot. What it asked for before is due from now on.

        Otherwise somebody who waited long would go before those who walk and are late.
        """
        with self._lock:
            self.is_held = self.lacks_slot = False
            self._served_ms = now_ms
            self._commands.begin_at(now_ms)
            self.activity.note_slot(now_ms)
            self._playback.renew()
            if self.walk is not None:
                self._commands.add_prepare(now_ms)

    def current_controls(self) -> ControlState:
        with self._lock:
            return self._controls

    @property
    def has_commands(self) -> bool:
        return bool(self._commands)

    @property
    def is_away(self) -> bool:
        return self._is_away

    def underrun_ms(self, now_ms: float) -> float:
        """Return when its client must have the next frames."""
        with self._lock:
            return self._playback.underrun_ms(now_ms) - self._playback.ack_delays.median_ms

    @property
    def is_paused(self) -> bool:
        return self._pausing.is_paused

    def decode_due_ms(self, costs: Costs, now_ms: float) -> float:
        """Return when the next latent should be decoded: in time for the client, and for its jitter."""
        with self._lock:
            return self._playback.decode_due_ms(costs.decoding, now_ms, costs.decode_spread_ms)

    def next_task(
        self, now_ms: float, costs: Costs, undecoded_ms: float = 0.0, num_undecoded: int = 0
    ) -> Task | None:
        """Return the work that this session wants done next, if any.

        Args:
            undecoded_ms: how long its latents that are not decoded yet are shown.
            num_undecoded: how many these are. They may have to be decoded meanwhile.
        """
        with self._lock:
            if self.is_held:
                return None
            if self._commands:
                waits = undecoded_ms and not self._is_away and self._commands.is_rewind_next
                return None if waits else self._command_task(costs)
            if self.walk is None or self._is_away or self._playback.unencoded_s >= MAX_UNENCODED_S:
                return None
            if self._pausing.is_paused:
                return self._step_task(costs)
            wants = self._playback.wants_chunk(now_ms)
            return self._walking_task(now_ms, costs, undecoded_ms, num_undecoded) if wants else None

    def mark_latched(self, now_ms: float, *, is_new: bool) -> None:
        """Note that a chunk has read its controls; it will be finished unless it is cancelled."""
        with self._lock:
            self._served_ms = now_ms
            if is_new:
                self._pausing.take_step(now_ms)

    def mark_made(self, num_chunks: int, now_ms: float) -> bool:
        """Note that the walk now has this many chunks. Returns: whether the newest is late."""
        with self._lock:
            if not self._commands.has_change:
                self._num_chunks = num_chunks
            self.is_late = self._playback.begin_chunk(now_ms)
            return self.is_late

    def mark_handed(self, duration_s: float, now_ms: float) -> None:
        """Count frames of this duration, which are on their way to the client."""
        with self._lock:
            self._playback.hand(duration_s, now_ms)
            self.activity.note_media(now_ms)

    def mark_opened(self, now_ms: float) -> None:
        with self._lock:
            self._opened_ms = now_ms
            self._pausing.mark_opened()
            self._playback.renew()  # reports that came meanwhile were about the previous walk

    def mark_start_refused(self) -> None:
        """Note that the walk before goes on, paused if it was."""
        with self._lock:
            if not self._commands.has_open:  # otherwise another one decides
                self._pausing.mark_refused()

    def mark_command_done(self) -> None:
        """Note that a command was carried out or refused."""
        with self._lock:
            self._commands.mark_done(self._clock())
            if not self._commands.has_change:
                self._num_chunks = None if self.walk is None else self.walk.num_chunks

    # -- with the lock held

    def _rewind(self, chunk: int, what: str) -> None:
        with self._lock:
            if self._num_chunks is None or not 0 <= chunk <= self._num_chunks:
                self._refuse(f"expected to rewind to chunk 0 to {self._num_chunks or 0}, got {chunk}")
            else:
                self._change(Rewind(chunk, what), num_chunks=chunk)
        self._wake()

    def _change(self, command: Command, num_chunks: int) -> None:
        """Queue a command that cancels the chunk in progress, and discard older inputs."""
        if self._command(command):
            self._num_chunks = num_chunks
            self._controls = self._controls.renewed(self._clock())
            self._playback.renew()

    def _command(self, command: Command) -> bool:
        if self._commands.is_full:
            self._refuse(f"expected at most {MAX_COMMANDS} changes waiting, got one more")
            return False
        self._commands.add(command, self._clock())
        self.activity.note_input(self._clock())
        return True

    def _refuse(self, message: str) -> None:
        self._notices.append(lambda listener: listener.on_error("bad_request", message, False))

    def _command_task(self, costs: Costs) -> Task:
        due_ms, tail_ms = self._commands.due_ms, costs.command.median_ms
        return Task(self.number, due_ms + OPENING_SLACK_MS, due_ms, 0.0, tail_ms, self._served_ms)

    def _step_task(self, costs: Costs) -> Task | None:
        if (due_ms := self._pausing.step_ms) is None:
            return None
        times_ms = costs.planned_context_ms, costs.tail.median_ms
        return Task(self.number, due_ms, due_ms, *times_ms, self._served_ms)

    def _walking_task(self, now_ms: float, costs: Costs, undecoded_ms: float, num_undecoded: int) -> Task:
        """Return the next chunk of a walk that is not paused, timed by what its client has buffered."""
        underrun_ms = self._playback.underrun_ms(now_ms) + undecoded_ms
        buffered_ms = self._playback.latch_buffered_ms(costs.needed, costs.spread_ms)
        deadline_ms = max(underrun_ms, self._opened_ms + OPENING_SLACK_MS)
        context_ms = costs.planned_context_ms + costs.decoding_delay_ms(num_undecoded)
        wish_ms = self._playback.wish_ms(costs.needed, costs.spread_ms)
        latch_by_ms, tail_ms = underrun_ms - buffered_ms, costs.tail.median_ms
        return Task(self.number, deadline_ms, latch_by_ms, context_ms, tail_ms, self._served_ms, wish_ms)
