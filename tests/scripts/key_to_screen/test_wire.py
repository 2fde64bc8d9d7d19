"""What the measurement reads on the page's WebSocket."""

from typing import Any

import msgpack

from key_to_screen.wire import Wire


def receive(wire: Wire, **message: Any) -> None:
    wire.receive(msgpack.packb(message))


def test_press_is_seen_from_the_first_chunk_that_includes_it() -> None:
    wire = Wire()
    receive(wire, type="chunk", controls_seq=None, first_frame=0)
    receive(wire, type="chunk", controls_seq=4, first_frame=13)
    receive(wire, type="chunk", controls_seq=6, first_frame=21)  # after a cut
    assert [wire.first_frame(seq) for seq in (3, 4, 5, 7)] == [13, 13, 21, None]


def test_stream_is_kept_whole() -> None:
    wire = Wire()
    receive(wire, type="init", data=b"init")
    for frame in range(2):
        receive(wire, type="media", frame=frame, data=b"%d" % frame)
    receive(wire, type="pong", t=0, server=0)
    assert (wire.init_segment, wire.fragments) == (b"init", [b"0", b"1"])
