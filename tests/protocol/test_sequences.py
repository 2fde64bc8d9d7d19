"""Generated sequences of messages, valid and damaged, against a model of the legal order.

More of them: FUZZ_SEQUENCES=100000 pytest tests/protocol/test_sequences.py
"""

import os
import random
from dataclasses import dataclass
from typing import Any

import msgpack
import pytest

from support.sent import welcome
from worldplay.protocol.connection import ServerConnection
from worldplay.protocol.errors import ProtocolError
from worldplay.protocol.messages import Limits

LIMITS = Limits(message_bytes=70_000, image_bytes=1_000, image_pixels=1 << 20, prompt_chars=20, poses=4)
NUM_SEQUENCES = int(os.environ.get("FUZZ_SEQUENCES", "2000"))
IDENTITY = [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
KINDS = ["hello", "start", "controls", "poses", "prompt", "playhead", "rewind", "ping"]
KINDS += ["pause", "resume", "step", "reset", "stop", "share", "unshare", "bookmark"]
RESUME = {"session": "s", "secret": "t", "fragment": 3}


@dataclass
class Model:
    """What docs/protocol.md says about the order."""

    greeted: bool = False
    started: bool = False
    watches: bool = False
    stopped: bool = False
    last_seq: int = -1

    def allows(self, message: dict[str, Any]) -> bool:
        kind = message["type"]
        if self.stopped or self.greeted == (kind == "hello"):
            return False
        if self.watches:
            return kind in ("ping", "stop")
        if not self.started and kind not in ("hello", "start", "ping"):
            return False
        return bool(message.get("seq", self.last_seq + 1) > self.last_seq)

    def follow(self, message: dict[str, Any]) -> None:
        self.greeted = True
        self.watches |= message.get("watch") is not None
        self.started |= message["type"] == "start"
        self.stopped |= message["type"] == "stop"
        self.last_seq = message.get("seq", self.last_seq)


def make_message(chance: random.Random, seq: int) -> dict[str, Any]:
    """Make a valid message, at any place in the order."""
    kind = chance.choice(KINDS)
    fields: dict[str, dict[str, Any]] = {
        "hello": {"protocol": 1, "token": chance.choice([None, "t"])},
        "start": chance.choice(
            [{"seed": chance.randrange(2**32)}, {"prompt": "night"}, {"image": b"x"}, {"snapshot": "an-id"}]
        ),
        "controls": {"seq": seq, "t": chance.random(), "keys": ["w"], "look": {"yaw": 0.0, "pitch": 0.1}},
        "poses": {"seq": seq, **chance.choice([{"poses": [IDENTITY]}, {"pose_string": "w-3"}])},
        "prompt": {"text": "x" * chance.randrange(20)},
        "playhead": {"shown": 1.0, "buffered": 0.0, "stalled": 0, "hidden": False},
        "rewind": {"chunk": chance.randrange(5)},
        "ping": {"t": 1.5},
        "share": chance.choice([{}, {"token": "t"}, {"right": "recording"}]),
        "bookmark": {"name": "by the well", "key": "the key of an owner"},
    }
    return {"type": kind, **fields.get(kind, {})}


def damage(chance: random.Random, frame: bytes) -> bytes:
    """Change a frame a little, in one of many ways."""
    position = chance.randrange(len(frame))
    return chance.choice(
        [
            frame[:position],
            frame + bytes([chance.randrange(256)]),
            frame[:position] + bytes([chance.randrange(256)]) + frame[position + 1 :],
            frame[position:] + frame[:position],
            bytes(chance.randrange(256) for _ in range(chance.randrange(40))),
        ]
    )


@pytest.mark.parametrize("part", range(4))
def test_only_legal_messages_are_taken(part: int) -> None:
    for number in range(NUM_SEQUENCES // 4):
        _check_sequence(random.Random(f"{part}.{number}"))


def _check_sequence(chance: random.Random) -> None:
    server, model, seq = ServerConnection(LIMITS), Model(), 0
    for step in range(chance.randrange(1, 16)):
        seq = chance.choice([seq, seq + 1, seq + 1])
        hello = {"type": "hello", "protocol": 1, **chance.choice([{}, {"resume": RESUME}, {"watch": "w"}])}
        message = hello if step == 0 else make_message(chance, seq)
        frame = msgpack.packb(message)
        is_damaged = chance.random() < 0.2
        taken = _receive(server, damage(chance, frame) if is_damaged else frame, step * 10.0)
        assert is_damaged or model.allows(message) == (taken is not None), (message, model)
        if taken is None:
            return  # every error here is fatal
        assert model.allows(taken), (taken, model)
        model.follow(taken)
        if taken.get("resume") is not None and chance.random() < 0.5:
            server.send(welcome(resumed=True))
            model.started = True


def _receive(server: ServerConnection, frame: bytes, now_ms: float) -> dict[str, Any] | None:
    """Return what the server took; None if it refused the frame, which must be fatal."""
    error = None
    try:
        return server.receive(frame, now_ms).to_map()
    except ProtocolError as refusal:
        error = refusal
    assert error.fatal, error
    return None
