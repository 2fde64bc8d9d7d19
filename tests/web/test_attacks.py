"""What strangers may try over the socket, without a token or with legal messages. Others must not notice."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_websocket

from support.raw_client import RawClient
from support.raw_socket import (
    BINARY,
    CONTINUATION,
    PING,
    begin_post,
    close_code,
    connect,
    frame,
    message,
    read_to_end,
    send_until_closed,
    upgrade,
)
from support.serving import computed_s, serving
from support.tiny_world import make_world
from support.waiting import wait_until
from worldplay.web import connections, world_server
from worldplay.world.world import World

HELLO, START = message("hello", protocol=1), message("start", seed=1)
POSE = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def guarded(world: World) -> Iterator[str]:
    """A server with a token."""
    with serving(world, token="t") as address:
        yield address


def health_s(address: str) -> float:
    """Return for how long the server computed before it answered somebody else."""
    before_s = computed_s(address)
    httpx.get(f"http://{address}/health", timeout=60).raise_for_status()
    return computed_s(address) - before_s


def has_closed(connection: socket.socket) -> bool:
    """Return whether the server has reset a connection, from which nothing is read."""
    try:
        connection.sendall(frame(PING, b"p" * 125))
    except ConnectionError:
        return True
    return False


def test_many_legal_poses_are_too_fast(server: str) -> None:
    with upgrade(server) as attacker:
        attacker.sendall(HELLO + START)
        for seq in range(300):
            send_until_closed(attacker, message("poses", seq=seq, poses=[POSE] * 400))
        assert health_s(server) < 0.5
        received = read_to_end(attacker)
    assert b"too_fast" in received
    assert close_code(received) == 1008


def test_one_long_trajectory_is_still_followed(server: str) -> None:
    with RawClient(f"ws://{server}/ws?fields=received") as client:
        client.hello()
        client.start(seed=1)
        client.send("poses", seq=0, poses=[POSE] * 400)
        assert client.recv_type("received")["seq"] == 0


@pytest.mark.parametrize("flood", [frame(CONTINUATION, fin=False), frame(PING, b"p")])
def test_flood_of_fragments_or_pings_ends_the_connection(guarded: str, flood: bytes) -> None:
    with upgrade(guarded) as attacker:
        send_until_closed(attacker, frame(BINARY, b"x", fin=False) + flood * 40_000)
        assert health_s(guarded) < 0.5
        assert close_code(read_to_end(attacker)) in (1008, None)  # None: reset, because it went on sending


def test_message_of_many_ordinary_fragments_is_read(server: str) -> None:
    hello = message("hello", protocol=1)[6:]
    with upgrade(server) as client:
        client.sendall(frame(BINARY, hello[:4], fin=False))
        for byte in hello[4:-1]:
            client.sendall(frame(CONTINUATION, bytes([byte]), fin=False))
        client.sendall(frame(CONTINUATION, hello[-1:]))
        assert b"welcome" in client.recv(4096)


def begin_chunked(address: str) -> socket.socket:
    connection = connect(address)
    connection.sendall(
        f"POST /api/generate-video HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    return connection


def test_flood_of_small_chunks_ends_the_connection(server: str) -> None:
    with begin_chunked(server) as attacker:
        send_until_closed(attacker, b"1\r\n \r\n" * 40_000, times=4)
        assert health_s(server) < 0.3
        assert read_to_end(attacker)[:13] in (b"HTTP/1.1 400 ", b"")  # reset, because it went on sending


def test_body_of_many_ordinary_chunks_is_read(server: str) -> None:
    with begin_chunked(server) as client:
        small, large = b"1\r\n \r\n" * 300, b"800\r\n" + b" " * 2048 + b"\r\n"
        client.sendall(small + large * 2000 + b"3\r\n{ }\r\n0\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 422 ")


@pytest.mark.parametrize(
    "header",
    ["Cookie: " + "c" * 9000, "Content-Length: 5", "\r\n".join(f"A{number}: b" for number in range(200))],
)
def test_handshake_that_cannot_be_read_ends_the_connection(guarded: str, header: str) -> None:
    with connect(guarded) as attacker:
        attacker.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {guarded}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"{header}\r\n\r\n".encode()
        )
        received = read_to_end(attacker)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"referrer-policy: no-referrer" in received.lower()


def test_large_message_before_hello_is_not_kept(guarded: str) -> None:
    with upgrade(guarded) as attacker:
        send_until_closed(attacker, frame(BINARY, bytes(2**20), fin=False))
        assert close_code(read_to_end(attacker)) in (1009, None)


def test_pongs_that_nobody_reads_do_not_accumulate(server: str) -> None:
    with upgrade(server) as attacker:
        attacker.sendall(HELLO)
        send_until_closed(attacker, frame(PING, b"p" * 125) * 2000, times=20)
        wait_until(lambda: has_closed(attacker))


def test_client_that_leaves_after_a_second_request_is_noticed(server: str) -> None:
    body = json.dumps({"prompt": "x", "num_frames": 2397}).encode()
    attackers = [begin_post(server, body) for _ in range(4)]
    wait_until(lambda: httpx.get(f"http://{server}/health").json()["jobs"]["queued"] == 4)
    for attacker in attackers:
        attacker.sendall(f"GET /health HTTP/1.1\r\nHost: {server}\r\n\r\n".encode())
        attacker.close()
    wait_until(lambda: httpx.get(f"http://{server}/health").json()["jobs"]["queued"] == 0)


def test_pipelined_requests_are_answered_in_order(server: str) -> None:
    with connect(server) as client:
        client.sendall(f"GET /health HTTP/1.1\r\nHost: {server}\r\n\r\n".encode() * 2)
        received = b""
        while received.count(b"HTTP/1.1 200") < 2:
            received += client.recv(65_536)


def test_bodies_that_never_come_block_nobody(server: str) -> None:
    attackers = [begin_post(server, b"", length=9) for _ in range(32)]
    answer = httpx.post(
        f"http://{server}/api/generate-video", json={"prompt": "x", "num_frames": 13}, timeout=30
    )
    assert answer.status_code == 200
    for attacker in attackers:
        with attacker:
            assert b"408" in read_to_end(attacker)


def test_connections_of_one_address_are_bounded(world: World) -> None:
    with serving(world, max_per_address=3) as address:
        idle = [connect(address) for _ in range(3)]
        with connect(address) as refused:
            assert read_to_end(refused).startswith(b"HTTP/1.1 503 ")
        with socket.create_connection(
            ("127.0.0.1", int(address.split(":")[1])), 5, ("127.0.0.2", 0)
        ) as other:
            other.sendall(f"GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
            assert other.recv(100).startswith(b"HTTP/1.1 200 ")
        for connection in idle:
            connection.close()


def test_connection_without_headers_is_closed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT_S", 2.0)
    began_s = time.monotonic()
    with connect(server) as attacker:
        attacker.sendall(b"GET / HTTP/1.1\r\n")
        assert read_to_end(attacker) == b""
    assert time.monotonic() - began_s > 1.9


def test_stop_counts_although_the_client_closes_at_once(world: World) -> None:
    with serving(world, max_sessions=1, resume_s=60) as address:
        for _ in range(5):
            with RawClient(f"ws://{address}/ws") as client:
                client.hello()
                client.start(seed=1)
                client.send("stop")
            wait_until(lambda: httpx.get(f"http://{address}/health").json()["sessions"]["active"] == 0)


def test_answers_that_nobody_reads_do_not_disturb_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(world_server, "READ_S", 0.1, raising=False)
    with serving(world) as address:
        attacker = connect(address)
        attacker.sendall(f"GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n".encode() * 900)
        time.sleep(0.2)  # until the socket's buffers are full
    attacker.close()
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(("count", "status"), [(60, b"200"), (3900, b"400")])
def test_headers_are_limited_in_number(server: str, count: int, status: bytes) -> None:
    """Each costs as much as a long one."""
    with connect(server) as client:
        lines = f"GET /live HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n" + "a:\r\n" * count
        client.sendall(lines.encode()[: 16 * 1024 - 2] + b"\r\n")
        assert read_to_end(client).startswith(b"HTTP/1.1 " + status)


def test_client_behind_a_proxy_has_its_own_connections_alone(world: World) -> None:
    with serving(world, trusted_proxies="127.0.0.1", max_per_address=3) as address, ExitStack() as open_:

        def come(client: str) -> None:
            headers = {"X-Forwarded-For": client}
            open_.enter_context(connect_websocket(f"ws://{address}/ws", additional_headers=headers))

        for _ in range(3):
            come("203.0.113.5")
        with pytest.raises(InvalidStatus, match="503"):
            come("203.0.113.5")
        come("203.0.113.6")
