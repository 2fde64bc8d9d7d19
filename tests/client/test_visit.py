"""Visits to servers that speak the protocol, and in which words each of their answers ends a visit."""

import inspect
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.scripted import ScriptedServer, serving_script
from worldplay import cli
from worldplay.client.delivery import describe
from worldplay.client.visit import Visit
from worldplay.client.wire import VisitEndedError, find_socket


@pytest.fixture
def script() -> Iterator[ScriptedServer]:
    with serving_script() as scripted:
        yield scripted


def end_of(visit: Visit, url: str) -> str:
    with pytest.raises(VisitEndedError) as ended:
        visit.walk(url, 5.0)
    return str(ended.value)


def test_a_visit_measures_what_is_delivered(script: ScriptedServer) -> None:
    visit = Visit()
    visit.walk(f"http://{script.address}", 1.0)
    found = describe(visit, None)
    assert found.frames >= 24
    assert found.model_frames_per_s is not None
    assert 13 / 0.247 - 0.1 < found.model_frames_per_s <= 16 / 0.253 + 0.1  # the first chunk is shorter
    assert found.key_to_fragment_ms is not None
    assert found.in_time is not None
    assert [message.type for _, message in script.received][:2] == ["hello", "start"]


@pytest.mark.parametrize(
    ("at_start", "expected"),
    [
        ("busy", "the server refused with busy: expected a free place, got none"),
        ("refuse", "the server refused with bad_request: expected another view"),
        ("queue", "no video came for 0.3 s at place 2 of the queue"),
    ],
)
def test_a_visit_says_why_it_got_no_video(script: ScriptedServer, at_start: str, expected: str) -> None:
    script.at_start = at_start  # type: ignore[assignment]  # one of its literals
    assert end_of(Visit(patience_s=0.3), f"ws://{script.address}") == expected


def test_a_visit_says_that_the_server_does_not_answer(script: ScriptedServer) -> None:
    script.at_hello = "silence"
    said = end_of(Visit(patience_s=0.3), f"ws://{script.address}")
    assert said == "the server did not answer hello for 0.3 s"


def test_a_visit_says_that_its_token_is_wrong(script: ScriptedServer) -> None:
    script.token = "secret"
    said = end_of(Visit(token="other"), f"ws://{script.address}")
    assert said.startswith("the server refused with unauthorized: ")


def test_a_visit_says_that_the_connection_was_lost(script: ScriptedServer) -> None:
    class LosingVisit(Visit):
        def _take_frame(self, media: object, now_s: float) -> None:
            script.drop()

    said = end_of(LosingVisit(), f"ws://{script.address}")
    assert said == "the connection was lost, with close code 1012"


def test_a_visit_says_that_there_is_no_server() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    said = end_of(Visit(), f"ws://127.0.0.1:{port}")
    assert said.startswith(f"no connection to ws://127.0.0.1:{port}/ws: ")


def test_a_visit_says_that_something_else_answers(script: ScriptedServer) -> None:
    said = end_of(Visit(), f"ws://{script.address}/other")
    assert said.startswith("the server refused the connection with HTTP ")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://host:8000", "ws://host:8000/ws"),
        ("https://host/#token=x", "wss://host/ws"),
        ("http://[::1]:8000/below/ws?fields=latch", "ws://[::1]:8000/below/ws?fields=latch"),
    ],
)
def test_the_socket_of_a_server_is_found(url: str, address: str) -> None:
    assert find_socket(url) == address


@pytest.mark.parametrize(
    "url", ["", "host:8000", "ftp://host", "ws://", "ws://[::1", "ws://host:99999", "ws://host:x"]
)
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected a URL like ws://127\.0\.0\.1:8000, got"):
        find_socket(url)


def test_the_command_reports_a_table_and_numbers(script: ScriptedServer, tmp_path: Path) -> None:
    out, url = tmp_path / "numbers.json", f"ws://{script.address}"
    arguments = ["bench", "--url", url, "--sessions", "2", "--seconds", "1", "--json", str(out)]
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0].startswith(f"{url}/ws: scripted at ")
    numbers = json.loads(out.read_text())
    assert [row["frames"] >= 24 for row in numbers["sessions"]] == [True, True]
    assert numbers["together"]["frames"] == sum(row["frames"] for row in numbers["sessions"])


def test_the_command_fails_if_a_session_is_refused(script: ScriptedServer) -> None:
    script.at_start = "busy"
    done = CliRunner().invoke(cli.app, ["bench", "--url", f"ws://{script.address}"])
    assert done.exit_code == 1
    assert "session 1 ended after 0 frames: the server refused with busy: " in done.output


def test_a_fault_of_one_session_does_not_lose_the_others(
    script: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(visit: Visit, url: str, seconds: float) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr(Visit, "walk", break_off)
    done = CliRunner().invoke(cli.app, ["bench", "--url", f"ws://{script.address}", "--sessions", "2"])
    assert done.exit_code == 1
    said = "internal error of this client: IndexError: list index out of range"
    assert done.output.splitlines()[-1] == f"session 2 ended after 0 frames: {said}"


def test_every_option_of_the_model_is_refused_beside_a_url() -> None:
    of_delivery = {"url", "sessions", "seconds", "token", "json_file"}
    given = {"device": "cpu", "random_weights": None, "size": "64x96"}
    for name in inspect.signature(cli.bench).parameters.keys() - of_delivery:
        option, value = f"--{name.replace('_', '-')}", given.get(name, "1")
        done = CliRunner().invoke(cli.app, ["bench", "--url", "ws://h:1", option, *filter(None, [value])])
        assert str(done.exception) == f"{option} has no effect with --url"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--url", "ws://host", "--model", "embedded"], "--model has no effect with --url"),
        (["--url", "ws://host", "--random-weights"], "--random-weights has no effect with --url"),
        (["--sessions", "2"], "--sessions has no effect without --url"),
    ],
)
def test_options_without_effect_are_refused(arguments: list[str], expected: str) -> None:
    done = CliRunner().invoke(cli.app, ["bench", *arguments])
    assert str(done.exception) == expected
