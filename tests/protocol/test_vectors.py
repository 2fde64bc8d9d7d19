"""The frames shared with the page: each means, or is refused, exactly as listed."""

import json
from typing import Any

import msgpack
import pytest

from support.paths import DATA
from worldplay.protocol.connection import ClientConnection, ServerConnection
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.fields import Record
from worldplay.protocol.messages import CLIENT_MESSAGES, SERVER_MESSAGES, Limits
from worldplay.protocol.wire import pack

FILE = json.loads((DATA / "protocol_vectors.json").read_text("utf-8"))
VECTORS: dict[str, dict[str, Any]] = {vector["name"]: vector for vector in FILE["vectors"]}
RIGHT = [name for name, vector in VECTORS.items() if "map" in vector]
WRONG = [name for name, vector in VECTORS.items() if "error" in vector]


def frame_of(name: str) -> bytes | str:
    vector = VECTORS[name]
    return (
        vector["text"] if "text" in vector else bytes.fromhex(vector["hex"]) + bytes(vector.get("zeros", 0))
    )


def receive(name: str) -> Record:
    """Receive a vector on a new connection, after those that come before it."""
    vector = VECTORS[name]
    if vector["direction"] == "server":
        client = ClientConnection()
        return [client.receive(frame_of(each)) for each in (*vector["after"], name)][-1]
    server = ServerConnection(Limits(**FILE["limits"]), FILE["token"])
    for each in vector["after"]:
        server.receive(frame_of(each), now_ms=0)
    return server.receive(frame_of(name), now_ms=0)


def plain(value: object) -> object:
    """A map as JSON writes it: bytes as {"$hex": ...}."""
    match value:
        case bytes():
            return {"$hex": value.hex()}
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value


@pytest.mark.parametrize("name", RIGHT)
def test_right_frame_means_its_map(name: str) -> None:
    assert plain(msgpack.unpackb(pack(receive(name)))) == VECTORS[name]["map"]


@pytest.mark.parametrize("name", WRONG)
def test_wrong_frame_is_refused_with_its_code(name: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        receive(name)
    assert (caught.value.code, caught.value.close_code) == (VECTORS[name]["error"], VECTORS[name]["close"])
    assert "expected" in caught.value.message
    assert "got" in caught.value.message
    assert len(caught.value.message) < 400


def test_every_type_has_a_right_vector() -> None:
    types = {(VECTORS[name]["direction"], VECTORS[name]["map"]["type"]) for name in RIGHT}
    assert types == {("client", name) for name in CLIENT_MESSAGES} | {
        ("server", name) for name in SERVER_MESSAGES
    }


def test_every_code_that_a_frame_can_earn_has_a_wrong_vector() -> None:
    after_the_frame = {
        "slow_consumer",
        "taken_over",
        "not_found",
        "too_fast",
        "bad_pose",
        "bad_request",
        "busy",
        "out_of_memory",
        "internal",
    }
    assert {VECTORS[name]["error"] for name in WRONG} | after_the_frame == {code.value for code in ErrorCode}
