"""Starts a server, walks for minutes, and prints memory, latency and stalls.

python scripts/soak.py --minutes 10 --visitors 1
"""

import argparse
import random
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from websockets.sync.client import ClientConnection as Socket
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from worldplay.protocol import messages as m
from worldplay.protocol.connection import ClientConnection

KEYS: list[list[m.Key]] = [["w"], ["w", "right"], ["left"], ["s"], ["a"], ["d", "up"], ["down"], []]
PLAYHEAD_S = 0.1


@dataclass
class Visitor:
    """A client that plays in real time and presses another key every two seconds."""

    url: str
    seed: int = 0
    frames: int = 0
    stalled_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    buffered_ms: list[float] = field(default_factory=list)  # when a chunk's first frame arrived
    first_frame_s: float | None = None
    leaves: threading.Event = field(default_factory=threading.Event)

    def run(self, seconds: float) -> None:
        with connect(self.url, subprotocols=[Subprotocol(m.SUBPROTOCOL)], compression=None) as socket:
            connection = ClientConnection()
            socket.send(connection.send(m.Hello(protocol=m.PROTOCOL)))
            began = time.monotonic()
            socket.send(connection.send(m.Start(seed=self.seed)))
            self._walk(socket, connection, began, began + seconds)

    def summary(self) -> str:
        if self.first_frame_s is None:
            return "got no frame"
        text = f"first frame {self.first_frame_s:.2f} s, {self.frames} frames, {self.stalled_s:.1f} s stalled"
        if not self.latencies_ms:
            return f"{text}, no key press was included in a chunk"
        median_ms, keys = statistics.median(self.latencies_ms), len(self.latencies_ms)
        return f"{text}, input to photon {median_ms:.0f} ms (median of {keys})"

    def _walk(self, socket: Socket, connection: ClientConnection, began: float, until: float) -> None:
        shown_s, buffered_to_s, clock = 0.0, 0.0, began
        next_playhead, next_key, seq = began, began + 2, 0
        pressed: dict[int, float] = {}
        while (now := time.monotonic()) < until and not self.leaves.is_set():
            step, clock = now - clock, now
            if self.frames:
                played = min(step, buffered_to_s - shown_s)
                shown_s += played
                self.stalled_s += step - played
            if now >= next_playhead:
                next_playhead = now + PLAYHEAD_S
                ahead = buffered_to_s - shown_s
                socket.send(
                    connection.send(m.Playhead(shown=shown_s, buffered=ahead, stalled=0, hidden=False))
                )
            if now >= next_key:
                next_key, seq = now + 2, seq + 1
                pressed[seq] = now
                look = m.Look(yaw=0.0, pitch=0.0)
                keys = tuple(random.choice(KEYS))
                socket.send(connection.send(m.Controls(seq=seq, t=now * 1000, keys=keys, look=look)))
            buffered_to_s = self._receive(socket, connection, pressed, shown_s, buffered_to_s, began)

    def _receive(
        self,
        socket: Socket,
        connection: ClientConnection,
        pressed: dict[int, float],
        shown_s: float,
        buffered_to_s: float,
        began: float,
    ) -> float:
        try:
            frame = socket.recv(0.01)
        except TimeoutError:
            return buffered_to_s
        message = connection.receive(frame)
        now = time.monotonic()
        if isinstance(message, m.Error):
            raise RuntimeError(f"the server said {message.code}: {message.message}")
        if isinstance(message, m.Chunk) and message.controls_seq in pressed:
            ahead_s = message.first_frame / 24 - shown_s
            self.latencies_ms.append((now + ahead_s - pressed.pop(message.controls_seq)) * 1000)
        if isinstance(message, m.Media):
            self.first_frame_s = self.first_frame_s or now - began
            if message.key and self.frames:
                self.buffered_ms.append((buffered_to_s - shown_s) * 1000)
            self.frames += 1
            return message.time + message.duration
        return buffered_to_s


def resident_mb(process: int) -> float:
    """Return a process's resident memory in MB, from /proc."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no VmRSS for process {process}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--visitors", type=int, default=1)
    parser.add_argument("--port", type=int, default=8765)
    options = parser.parse_args()
    command = [sys.executable, "-m", "worldplay", "serve", "--port", str(options.port)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        said = []
        for line in server.stderr:
            said.append(line)
            if "startup complete" in line:
                break
        else:
            sys.exit("the server did not start:\n" + "".join(said))
        threading.Thread(target=server.stderr.read, daemon=True).start()
        soak(server.pid, options.port, options.minutes, options.visitors)
    finally:
        server.terminate()
        server.wait(10)


def soak(process: int, port: int, minutes: float, num_visitors: int) -> None:
    visitors = [Visitor(f"ws://127.0.0.1:{port}/ws") for _ in range(num_visitors)]
    threads = [threading.Thread(target=visitor.run, args=(60 * minutes,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    print(f"{'minute':>6} {'MB':>8} {'frames':>8}")
    minute = 0
    while any(thread.is_alive() for thread in threads):
        frames = sum(visitor.frames for visitor in visitors)
        print(f"{minute:6d} {resident_mb(process):8.1f} {frames:8d}", flush=True)
        minute += 1
        for thread in threads:
            thread.join(60 / len(threads))
    for visitor in visitors:
        print(visitor.summary())


if __name__ == "__main__":
    main()
