"""What every response has, and under which names the server may be reached."""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from support.raw_socket import connect, message, read_to_end, upgrade
from support.serving import serving
from worldplay.settings import load_settings
from worldplay.web.hosts import is_host_allowed
from worldplay.web.logs import MOST_OF_A_KIND, WINDOW_S, JsonLines, LineLimit, set_level
from worldplay.web.secured import SECURITY_HEADERS
from worldplay.world.world import World


@pytest.mark.parametrize(
    "path", ["/", "/health", "/metrics", "/openapi.json", "/api/generate-video", "/nothing"]
)
def test_every_response_has_security_headers(server: str, path: str) -> None:
    headers = httpx.get(f"http://{server}{path}").headers
    assert set(map(str.lower, SECURITY_HEADERS)) <= headers.keys()
    assert "server" not in headers


def test_answer_to_what_is_not_http_has_security_headers(server: str) -> None:
    with connect(server) as client:
        client.sendall(b"nonsense\r\n\r\n")
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"X-Content-Type-Options: nosniff" in answer


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_foreign_name_of_this_machine_is_refused(server: str, host: str) -> None:
    assert httpx.get(f"http://{server}/health", headers={"Host": host}).status_code == 403
    with pytest.raises(AssertionError, match="403"):
        upgrade(server, f"Origin: http://{host}\r\n", host=host)


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "192.168.1.7:8000", "world.localhost"]
)
def test_addresses_and_loopback_names_are_allowed(host: str) -> None:
    assert is_host_allowed(host, load_settings())


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ({}, False),
        ({"token": "t"}, True),
        ({"host": "0.0.0.0"}, True),
        ({"allow_host": "world.example, other.example"}, True),
        ({"allow_host": "other.example", "token": "t"}, False),
    ],
)
def test_names_that_are_allowed_depend_on_the_settings(arguments: dict[str, object], allowed: bool) -> None:
    assert is_host_allowed("World.Example:443", load_settings(**arguments)) == allowed


def test_malformed_origin_is_refused_without_a_traceback(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AssertionError, match="403"):
        upgrade(server, "Origin: http://[\r\n")
    assert not [line for line in caplog.records if line.levelno >= logging.ERROR]


def test_nothing_redirects(world: World, tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    with serving(world, static_dir=tmp_path) as address:
        for path in ("/assets", "/assets/", "/assets/..", "/assets/%2e%2e"):
            with connect(address) as client:
                client.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
                )
                assert read_to_end(client)[:12] in (b"HTTP/1.1 404", b"HTTP/1.1 200")


def test_wrong_token_is_not_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tokens: list[object] = ["hunter2-" * 70, ["hunter2"], 7_777_777, "hunter2"]
    with serving(world, token="t") as address, ExitStack() as stack:
        clients = [stack.enter_context(upgrade(address, path="/ws?fields=x")) for _ in tokens]
        for client, token in zip(clients, tokens, strict=True):
            client.sendall(message("hello", protocol=1, token=token))
        for client in clients:  # each is closed a while later: it does not answer
            read_to_end(client)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("worldplay")]
    assert sum("refused" in line for line in ours) == len(tokens)
    assert not any("hunter2" in line or "7777777" in line for line in ours)


def record(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("worldplay.x", logging.INFO, "x.py", 1, text, args, None)


def test_line_that_comes_too_often_is_left_out_and_counted() -> None:
    now_s = 0.0
    limit = LineLimit(lambda: now_s)
    passed = [limit(record("refused: %s", number)) for number in range(MOST_OF_A_KIND + 5)]
    assert passed == [True] * MOST_OF_A_KIND + [False] * 5
    assert limit(record("another"))
    now_s = WINDOW_S
    later = record("refused: %s", 1)
    assert limit(later)
    assert later.getMessage() == "refused: 1 (5 similar lines were left out before)"


@pytest.fixture
def levels() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "worldplay")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize(("level", "libraries"), [("debug", logging.INFO), ("error", logging.ERROR)])
def test_libraries_log_nothing_of_what_they_send(levels: None, level: str, libraries: int) -> None:
    set_level(level)
    assert logging.getLogger("worldplay.web.x").getEffectiveLevel() == getattr(logging, level.upper())
    for name in ("uvicorn.error", "websockets.server", "fsspec", "s3fs", "botocore.auth", "urllib3"):
        assert logging.getLogger(name).getEffectiveLevel() == libraries


def test_json_line_has_all_fields() -> None:
    line = json.loads(JsonLines().format(record("said %s", "so")))
    assert (line["message"], line["level"], line["logger"], line["client"]) == (
        "said so",
        "info",
        "worldplay.x",
        "-",
    )


def test_token_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("secret\n")
    monkeypatch.setenv("WORLDPLAY_TOKEN_FILE", str(tmp_path / "token"))
    assert load_settings().token == "secret"
    with pytest.raises(ValueError, match="expected either a token or a file of one"):
        load_settings(token="other")


@pytest.mark.parametrize("content", ["", "x" * 513])
def test_token_that_nobody_could_present_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(ValueError, match=r"^setting token"):
        load_settings(token_file=tmp_path / "token")


def test_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^setting token_file: cannot be read"):
        load_settings(token_file=tmp_path / "nothing")
