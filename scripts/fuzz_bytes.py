"""Feed what strangers send to a coverage-guided fuzzer, which changes it until something unexpected happens.

pip install atheris
python scripts/fuzz_bytes.py {wire,snapshot} [--seconds 300]

wire: frames of clients and servers. snapshot: files of walks. A fault is an error of another kind than the
promised one, a message that is not short, something taken that is not the same when it is written and read
again, two seconds for one input, or 2 GB of memory. The input is then in the current folder, as crash-*.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["worldplay", "msgpack"]):
    import numpy as np
    import torch

    from worldplay.protocol.connection import ClientConnection, ServerConnection
    from worldplay.protocol.errors import ProtocolError
    from worldplay.protocol.fields import Record
    from worldplay.protocol.messages import CLIENT_MESSAGES, SERVER_MESSAGES, Hello, Limits
    from worldplay.protocol.validation import find_class, validate
    from worldplay.protocol.wire import check_size, pack, unpack
    from worldplay.world.camera import DEFAULT_INTRINSICS, Motion
    from worldplay.world.snapshot import (
        Beginning,
        LoggedLatch,
        OwnPicture,
        PromptChange,
        Snapshot,
        WorldIdentity,
    )
    from worldplay.world.snapshot_file import METADATA, write_snapshot
    from worldplay.world.snapshot_reader import check_whole, read_part
    from worldplay.world.steering import PosedCamera

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "data" / "protocol_vectors.json"
LIMITS = Limits(message_bytes=70_000, image_bytes=1_000, image_pixels=1 << 20, prompt_chars=100, poses=8)
MOST_CHARS = 1000  # of what an error says
SEPARATOR = b"\xff\xfe"  # between the parts of an input for `snapshot`


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    check, seeds = TARGETS[options.target]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds()):
            Path(corpus, str(number)).write_bytes(seed)
        limits = [f"-max_total_time={options.seconds}", "-timeout=2", "-rss_limit_mb=2048", "-max_len=70000"]
        atheris.Setup([sys.argv[0], corpus, *limits, "-print_final_stats=1"], check)
        atheris.Fuzz()


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=300)
    return parser.parse_args(arguments)


def check_wire(data: bytes) -> None:
    """Take an input as a frame of a client that has greeted, and as one of a server."""
    server = ServerConnection(LIMITS)
    server.receive(pack(Hello(protocol=1)), 0.0)
    for receive in (
        lambda: server.receive(data, 1.0),
        lambda: ClientConnection().receive(data),
        lambda: check_size(data * (1 + 70_000 // max(1, len(data))), 80_000),
        lambda: _take(partial(find_class, CLIENT_MESSAGES), data, ignore_unknown=False),
        lambda: _take(partial(find_class, SERVER_MESSAGES), data, ignore_unknown=True),
    ):
        try:
            receive()
        except ProtocolError as error:
            _check_said(str(error))


def _take(find: Callable[[str], type[Record]], data: bytes, *, ignore_unknown: bool) -> None:
    """Take a message at any place in the order, and write and read it again."""
    fields = unpack(data)
    cls = find(fields["type"])
    message = validate(cls, fields, ignore_unknown=ignore_unknown)
    assert validate(cls, unpack(pack(message)), ignore_unknown=False) == message, message


def list_frames() -> Iterator[bytes]:
    for vector in json.loads(VECTORS.read_text())["vectors"]:
        if "hex" in vector:
            yield bytes.fromhex(vector["hex"])[:70_000]


def check_snapshot(data: bytes) -> None:
    """Take an input as a file, or as the parts of one whose length and JSON in JSON are then right."""
    try:
        part = read_part(join_file(data))
        again = write_snapshot(part)
        assert write_snapshot(read_part(again)) == again, "a snapshot changes when it is written and read"
        check_whole(part)
    except ValueError as error:
        _check_said(str(error))


def join_file(data: bytes) -> bytes:
    header, _, rest = data.partition(SEPARATOR)
    ours, _, content = rest.partition(SEPARATOR)
    with suppress(ValueError, RecursionError):
        fields = json.loads(header)
        if isinstance(fields, dict) and rest:
            fields["__metadata__"] = {METADATA: ours.decode(errors="replace")}
            header = json.dumps(fields).encode()
            return len(header).to_bytes(8, "little") + header + content
    return data


def split_file(data: bytes) -> bytes:
    """Undo `join_file`."""
    end = 8 + int.from_bytes(data[:8], "little")
    fields = json.loads(data[8:end])
    ours = fields.pop("__metadata__")[METADATA].encode()
    return SEPARATOR.join([json.dumps(fields).encode(), ours, data[end:]])


def list_snapshots() -> Iterator[bytes]:
    for snapshot in (make_snapshot(None), make_snapshot(np.zeros((2, 4, 3), np.uint8))):
        for part in (snapshot, snapshot.until(4)):
            yield write_snapshot(part)
            yield split_file(write_snapshot(part))


def make_snapshot(picture: "np.ndarray | None") -> Snapshot:
    """Make a walk of two chunks: the second is cut, and has a given camera and another prompt."""
    ahead, camera = Motion(forward=0.08), PosedCamera(np.eye(4), label=3)
    own = None if picture is None else OwnPicture(picture, picture)
    identity = WorldIdentity("tiny", "weights", (4, 2))
    return Snapshot(
        Beginning(identity, "view", 7, None, PosedCamera(np.eye(4), label=0), "sdpa", own),
        first=0,
        latents=torch.zeros(8, 1, 1, 1),
        c2w=np.tile(np.eye(4), (8, 1, 1)),
        labels=np.zeros(8, np.int64),
        intrinsics=np.tile(DEFAULT_INTRINSICS, (8, 1, 1)),
        latches=(
            LoggedLatch(0, (ahead,) * 3),
            LoggedLatch(4, (ahead,) * 4),
            LoggedLatch(6, (camera, ahead)),
        ),
        prompts=(PromptChange(0, "day"), PromptChange(4, "night")),
    )


def _check_said(said: str) -> None:
    assert len(said) <= MOST_CHARS, said
    assert said.isprintable(), said


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterator[bytes]]]] = {
    "wire": (check_wire, list_frames),
    "snapshot": (check_snapshot, list_snapshots),
}

if __name__ == "__main__":
    main(sys.argv[1:])
