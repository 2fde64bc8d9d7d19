"""Which pages may walk here."""

import httpx
import pytest
from starlette.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from support.serving import serving
from worldplay.protocol.origin import is_allowed, read_origins
from worldplay.world.world import World


def may_walk(headers: Headers, allow_origin: str = "") -> bool:
    return is_allowed(headers.getlist("origin"), headers.getlist("host"), allow_origin)


def headers(origin: str, host: str) -> Headers:
    return Headers({"origin": origin, "host": host})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://world.example", "world.example"),
        ("https://world.example", "world.example:443"),
        ("http://world.example", "world.example:80"),
        ("http://world.example:80", "world.example"),
        ("https://world.example", "World.Example"),
        ("HTTPS://World.Example", "world.example"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("https://[2001:db8::1]", "[2001:db8::1]:443"),
        ("https://[2001:DB8::1]:8443", "[2001:db8::1]:8443"),
        ("https://world.example", "world.example:"),
    ],
)
def test_page_of_this_server_may_walk(origin: str, host: str) -> None:
    assert may_walk(headers(origin, host), "")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "world.example"),
        ("https://world.example:8443", "world.example"),
        ("https://world.example", "world.example:80"),
        ("http://world.example", "world.example:443"),
        ("http://world.example", "world.example.evil.example"),
        ("null", "world.example"),
        ("null", "null"),
        ("", "world.example"),
        ("", ""),
        ("file://", "world.example"),
        ("http://[", "world.example"),
        ("http://[", "["),
        ("http://]", "]"),
        ("http://[::1", "[::1"),
        ("http://[x]", "[x]"),
        ("http://world.example:x", "world.example:x"),
        ("http://world.example:99999999", "world.example:99999999"),
        ("http://", ""),
        ("http://evil@world.example", "world.example"),
        ("http://world.example/", "world.example"),
        ("http://world.example http://evil.example", "world.example"),
        ("world.example", "world.example"),
        ("chrome-extension://world.example", "world.example"),
        ("http://w\u00f6rld.example\u00b2", "w\u00f6rld.example"),
    ],
)
def test_page_of_another_site_may_not(origin: str, host: str) -> None:
    assert not may_walk(headers(origin, host), "")


def test_programs_send_no_origin() -> None:
    assert may_walk(Headers({"host": "world.example"}), "")
    assert may_walk(Headers({}), "")


@pytest.mark.parametrize("twice", [b"origin", b"host"])
def test_headers_that_are_there_twice_are_no_proof(twice: bytes) -> None:
    raw = [(b"origin", b"http://world.example"), (b"host", b"world.example")]
    assert may_walk(Headers(raw=raw), "")
    assert not may_walk(Headers(raw=[*raw, (twice, b"http://evil.example")]), "")


def test_page_without_a_host_may_not() -> None:
    assert not may_walk(Headers({"origin": "http://world.example"}), "")


@pytest.mark.parametrize("origin", ["https://world.example", "https://WORLD.example:443", "http://[::1]:81"])
def test_origins_of_the_operator_may_walk_whatever_the_host(origin: str) -> None:
    allowed = "https://world.example, http://[::1]:81"
    assert may_walk(headers(origin, "10.0.0.1:8000"), allowed)
    assert not may_walk(headers("http://world.example", "10.0.0.1:8000"), allowed)


@pytest.mark.parametrize("wrong", ["world.example", "*", "null", "https://world.example/walk", "http://["])
def test_what_is_no_origin_cannot_be_allowed(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"expected origins like https://world\.example, got"):
        read_origins(f"https://a.example,{wrong}")


def test_spare_commas_mean_nothing() -> None:
    assert read_origins("") == read_origins(" , ") == frozenset()


@pytest.mark.parametrize(("origin", "may"), [("http://{}", True), ("http://elsewhere.example", False)])
def test_pages_of_other_sites_may_not_walk(
    server: str, origin: str, may: bool, caplog: pytest.LogCaptureFixture
) -> None:
    url, headers = f"ws://{server}/ws", {"Origin": origin.format(server)}
    if may:
        with connect(url, additional_headers=headers):
            return
    with pytest.raises(InvalidStatus, match="HTTP 403"), connect(url, additional_headers=headers):
        pass
    assert f"its Origin is 'http://elsewhere.example', the Host {server!r}" in caplog.text


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://[", "http://]:x", ""])
def test_page_of_another_site_is_turned_away(server: str, origin: str) -> None:
    headers = {
        "origin": origin,
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert httpx.get(f"http://{server}/ws", headers=headers).status_code == 403


def test_page_behind_a_proxy_that_rewrites_host_may_walk(world: World) -> None:
    headers = {"Origin": "https://world.example"}
    with (
        serving(world, allow_origin="https://other.example, https://World.example:443") as address,
        connect(f"ws://{address}/ws", additional_headers=headers) as client,
    ):
        assert client.response is not None
        assert client.response.status_code == 101
