"""Walks in a tiny world over a real socket, by a client written from the protocol table alone."""

import io
import time
from collections.abc import Callable

import httpx
import msgpack
import pytest
from PIL import Image

from support.raw_client import Message, RawClient, of
from support.serving import serving
from support.tiny_world import make_world
from worldplay.web.limits import LIMITS
from worldplay.world.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def walk(address: str) -> RawClient:
    return RawClient(f"ws://{address}/ws")


def is_chunk(index: int) -> Callable[[Message], bool]:
    return lambda message: bool(message["type"] == "chunk" and message["index"] == index)


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 80, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def test_walk_streams_contiguous_fragments(server: str) -> None:
    with walk(server) as client:
        client.hello()
        init = client.start(seed=1)
        messages = client.collect(is_chunk(2))
    media = [message for message in messages if message["type"] == "media"]
    assert init["mime"] == f'video/mp4; codecs="{init["codec"]}"'
    assert [chunk["frames"] for chunk in of("chunk", messages)] == [13, 16, 16]
    assert [message["frame"] for message in media] == list(range(29))
    assert [message["frame"] for message in media if message["key"]] == [0, 13]
    assert media[-1]["time"] == pytest.approx(28 / 24)


def test_keys_become_motions_of_the_next_chunk(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        seq = client.press(["w"])
        messages = client.collect(
            lambda message: message["type"] == "chunk" and message["controls_seq"] == seq and message["index"]
        )
    chunk = messages[-1]
    assert [motion["forward"] for motion in chunk["motions"]] == pytest.approx([0.08] * 4)
    assert chunk["labels"] == [9, 9, 9, 9]
    assert chunk["timings"].keys() == {"select", "context", "denoise"}


def test_pose_string_is_followed_and_then_keys_count_again(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        client.collect(is_chunk(0))
        client.send("poses", seq=0, pose_string="right-4")
        moving = client.collect(lambda m: m["type"] == "chunk" and 1 in m["labels"])
        still = client.collect(lambda m: m["type"] == "chunk" and m["labels"][-1] == 0)
    labels: dict[int, int] = {}
    for chunk in of("chunk", moving + still):
        labels |= enumerate(chunk["labels"], 4 * chunk["index"])
    turns = [latent for latent, label in labels.items() if label]
    assert turns == list(range(turns[0], turns[0] + 4))


def test_pause_step_and_resume(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        client.collect(is_chunk(0))
        client.send("pause")
        paused = client.collect(lambda m: m["type"] == "state")
        last = max([0] + [chunk["index"] for chunk in of("chunk", paused)])
        client.send("step")
        assert client.recv_type("chunk")["index"] == last + 1
        for _ in range(16):
            client.recv_type("media")
        client.send("ping", t=5.0)
        assert client.recv()["type"] == "pong"  # nothing was made after the one step
        client.send("resume")
        assert client.recv_type("state")["what"] == "resumed"
        assert client.recv_type("chunk")["index"] == last + 2


@pytest.mark.slow
def test_rewind_goes_back_but_the_timeline_goes_on(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        before = client.collect(is_chunk(3))
        client.send("rewind", chunk=1)
        after = client.collect(lambda m: m["type"] == "state" and m["what"] == "rewound")
        again = client.recv_type("chunk")
    frames = [m["first_frame"] for m in of("chunk", before + after)]
    assert again["index"] == 1
    assert again["first_frame"] > max(frames)


def test_reset_begins_again_with_the_first_chunk(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        client.collect(is_chunk(1))
        client.send("reset")
        client.collect(lambda m: m["type"] == "state" and m["what"] == "reset")
        chunk = client.recv_type("chunk")
    assert (chunk["index"], chunk["frames"]) == (0, 13)


def test_prompt_is_acknowledged(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        client.collect(is_chunk(0))
        client.send("prompt", text="at night")
        state = client.recv_type("state")
    assert (state["what"], state["text"]) == ("prompt", "at night")


def picture(mode: str, size: tuple[int, int], format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 1).save(buffer, format, **options)
    return buffer.getvalue()


UNUSUAL = {
    "one pixel": picture("RGB", (1, 1), "PNG"),
    "ten times as wide as high": picture("RGB", (640, 64), "JPEG"),
    "ten times as high as wide": picture("RGB", (3, 30), "WEBP"),
    "grey": picture("L", (50, 40), "PNG"),
    "16-bit grey": picture("I;16", (50, 40), "PNG"),
    "black and white": picture("1", (50, 40), "PNG"),
    "transparent": picture("RGBA", (50, 40), "PNG"),
    "with a palette": picture("P", (50, 40), "PNG"),
    "for print": picture("CMYK", (50, 40), "JPEG"),
    "animated": picture(
        "RGB", (50, 40), "WEBP", save_all=True, append_images=[Image.new("RGB", (50, 40), 9)]
    ),
    "as large as may be": picture("1", (8000, 4000), "PNG"),
}


LARGEST = pytest.param("as large as may be", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [*(name for name in UNUSUAL if name != "as large as may be"), LARGEST])
def test_every_valid_image_starts_a_walk(server: str, name: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(image=UNUSUAL[name])
        assert client.recv_type("chunk")["index"] == 0


@pytest.mark.slow
def test_equal_seeds_and_steps_give_equal_video(server: str) -> None:
    videos = []
    for _ in range(2):
        with walk(server) as client:
            client.hello()
            client.start(seed=7)
            messages = client.collect(is_chunk(2))
            videos.append([m["data"] for m in messages if m["type"] == "media"])
    assert videos[0] == videos[1]


def bomb() -> bytes:
    """A few kilobytes that would be 64 million pixels."""
    buffer = io.BytesIO()
    Image.new("1", (8000, 8000)).save(buffer, "PNG")
    return buffer.getvalue()


FATAL = {
    "text frame": ("hello", "text_frame", 1003),
    "no MessagePack": (b"\xc1", "malformed", 1007),
    "unknown type": (msgpack.packb({"type": "jump"}), "unknown_type", 1002),
    "wrong field type": (
        msgpack.packb({"type": "controls", "seq": "1", "t": 0.0, "keys": [], "look": {}}),
        "bad_field",
        1007,
    ),
    "second hello": (msgpack.packb({"type": "hello", "protocol": 1}), "bad_order", 1002),
    "oversize": (b"\0" * (LIMITS.message_bytes + 1), "too_large", 1009),
}


@pytest.mark.parametrize("case", FATAL)
def test_fatal_input_is_explained_and_closes(server: str, case: str) -> None:
    frame, code, close_code = FATAL[case]
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        client.send_frame(frame)
        messages, closed = client.wait_closed()
    errors = [message for message in messages if message["type"] == "error"]
    assert [(error["code"], error["fatal"]) for error in errors] == [(code, True)]
    assert "expected" in errors[0]["message"]
    assert closed == close_code


def test_controls_before_start_are_refused(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.press(["w"])
        messages, closed = client.wait_closed()
    assert messages[-1]["code"] == "bad_order"
    assert closed == 1002


def test_first_message_must_be_hello(server: str) -> None:
    with walk(server) as client:
        client.send("start")
        messages, closed = client.wait_closed()
    assert messages[-1]["code"] == "bad_order"
    assert closed == 1002


REFUSED = {
    "corrupt image": ({"type": "start", "image": b"\x89PNG nothing"}, "bad_image"),
    "empty image": ({"type": "start", "image": b""}, "bad_image"),
    "decompression bomb": ({"type": "start", "image": bomb()}, "bad_image"),
    "wrong format": ({"type": "start", "image": b"GIF89a" + bytes(100)}, "bad_image"),
    "unknown view": ({"type": "start", "view": "the moon"}, "bad_request"),
    "other size": ({"type": "start", "size": [32, 32]}, "bad_request"),
    "typo in a pose string": ({"type": "poses", "seq": 0, "pose_string": "w-3, rihgt-2"}, "bad_pose"),
    "pose that shears": (
        {"type": "poses", "seq": 0, "poses": [[1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]},
        "bad_pose",
    ),
    "rewind into the future": ({"type": "rewind", "chunk": 100_000}, "bad_request"),
    "step while walking": ({"type": "step"}, "bad_request"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_request_is_explained_and_the_walk_goes_on(server: str, case: str) -> None:
    fields, code = REFUSED[case]
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        client.send(**fields)  # type: ignore[arg-type]
        error = client.recv_type("error")
        assert (error["code"], error["fatal"]) == (code, False)
        assert "expected" in error["message"]
        client.recv_type("chunk")


def test_stop_says_goodbye(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        client.send("stop")
        messages, closed = client.wait_closed()
    assert messages[-1] == {"type": "bye", "reason": "stopped"}
    assert closed == 1000


def test_wrong_token_is_refused(world: World) -> None:
    with serving(world, token="open sesame") as address:
        with walk(address) as client:
            client.send("hello", protocol=1, token="open")
            messages, closed = client.wait_closed()
        with walk(address) as client:
            client.hello(token="open sesame")
    assert messages[-1]["code"] == "unauthorized"
    assert closed == 1008


def test_visitor_beyond_the_places_waits_for_one(world: World) -> None:
    with (
        serving(world, max_sessions=1, max_queued=1) as address,
        walk(address) as first,
        walk(address) as second,
        walk(address) as third,
    ):
        first.hello()
        first.start(seed=1)
        second.hello()
        second.send("start", seed=1)
        assert second.recv_type("queued")["position"] == 1
        third.hello()
        third.send("start", seed=1)
        messages, closed = third.wait_closed()
        assert (messages[-1]["code"], messages[-1]["retryable"], closed) == ("busy", True, 1013)
        first.send("stop")
        assert second.recv_type("init")["type"] == "init"


def test_disconnect_in_mid_chunk_frees_the_worker(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
    deadline = time.monotonic() + 30.0  # within how many stages: tests/engine/test_worker.py
    while httpx.get(f"http://{server}/health").json()["sessions"]["active"]:
        assert time.monotonic() < deadline, "the session outlived its visitor"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("fault", "code"), [(RuntimeError("?"), "internal"), (MemoryError(), "out_of_memory")]
)
def test_our_own_fault_is_told_before_the_socket_closes(
    server: str, fault: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr("worldplay.web.receiver.read_image", fail)
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        client.send("start", image=png(8, 8))
        messages, closed = client.wait_closed()
    assert [m["code"] for m in messages if m["type"] == "error"] == [code]
    assert closed == 1011
