"""Links to a recording: whoever has one sees that walk's video and path, and nothing else."""

import logging
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.pictures import decode_file
from support.raw_client import RawClient
from support.recording_visitor import Visitor
from support.serving import serving
from support.tiny_world import make_world
from worldplay.store import recordings as recordings_module
from worldplay.store.about import hash_key
from worldplay.store.errors import MissingRecordingError
from worldplay.store.recordings import RecordingLimits, Recordings
from worldplay.web import recording_api
from worldplay.web.logs import has_no_url
from worldplay.web.recording_links import make_recording_token
from worldplay.web.visit import LINKS_BURST
from worldplay.world.world import World

NAMES = ("recording.mp4", "walk.json")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def address(world: World, folder: Path) -> Iterator[str]:
    with serving(world, recordings=str(folder)) as address:
        yield address


@pytest.fixture
def visitor(address: str) -> Iterator[Visitor]:
    """Somebody who has walked a chunk, and stands still."""
    visitor = Visitor(address).walk(1, seed=5)
    visitor.client.send("pause")
    visitor.client.collect(lambda message: message.get("what") == "paused")
    yield visitor
    visitor.client.close()


def share(visitor: Visitor) -> str:
    visitor.client.send("share", right="recording")
    shared = visitor.client.recv_type("shared")
    assert shared["right"] == "recording"
    token: str = shared["token"]
    return token


def unshare(visitor: Visitor) -> None:
    visitor.client.send("unshare", right="recording")
    assert visitor.client.recv_type("shared") == {"type": "shared", "right": "recording"}


def opened(visitor: Visitor, token: str, name: str = NAMES[0], **headers: str) -> httpx.Response:
    """Open a link as a browser does, which knows nothing of the session's secret."""
    return httpx.get(visitor.url(name), params={"share": token}, headers=headers, timeout=20)


def refused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_server_says_what_links_may_show(visitor: Visitor) -> None:
    assert visitor.welcome["rights"] == ["watch", "recording"]


def test_link_is_the_video_and_the_path(visitor: Visitor) -> None:
    token = share(visitor)
    whole = opened(visitor, token)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.headers["content-disposition"].startswith("inline;")
    assert len(decode_file(whole.content)) >= 13
    part = opened(visitor, token, Range="bytes=0-99")
    assert (part.status_code, part.content) == (206, whole.content[:100])
    assert httpx.head(visitor.url(), params={"share": token}).status_code == 200
    assert opened(visitor, token, "walk.json").json()["seed"] == 5
    assert visitor.get().headers["content-disposition"].startswith("attachment;")


def test_nothing_opens_without_a_link_of_its_own(visitor: Visitor, address: str) -> None:
    """All are answered alike, as an unknown session is."""
    visitor.client.send("share")
    watch = visitor.client.recv_type("shared")
    assert "right" not in watch
    before = opened(visitor, watch["token"])
    token, other = share(visitor), Visitor(address).walk(1, seed=1)
    wrong = ["", "x", "a" * 4000, "é\x00", token[:-1], token + "x", watch["token"]]
    wrong.append(make_recording_token("x", "y", 0))
    tries = [opened(visitor, each, name) for each in wrong for name in NAMES]
    tries += [opened(other, token), opened(visitor, share(other))]
    assert {(answer.status_code, answer.content) for answer in tries} == {(404, before.content)}
    assert refused(before)
    with RawClient(f"ws://{address}/ws") as client:
        client.send("hello", protocol=1, watch=token)
        assert client.wait_closed()[0][-1]["code"] == "not_found"
    other.client.close()


def test_link_is_the_same_until_it_is_revoked(visitor: Visitor) -> None:
    first = share(visitor)
    assert share(visitor) == first
    unshare(visitor)
    assert all(refused(opened(visitor, first, name)) for name in NAMES)
    second = share(visitor)
    assert second != first
    assert refused(opened(visitor, first))
    assert opened(visitor, second).status_code == 200


def test_revoked_link_stays_so_whatever_the_disk_does(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = share(visitor)
    with monkeypatch.context() as context:
        context.setattr(recordings_module.Recordings, "describe", _fail)
        unshare(visitor)
        assert refused(opened(visitor, token))
        visitor.client.send("share", right="recording")
        error = visitor.client.collect(lambda message: message["type"] == "error")[-1]
        assert (error["code"], error["fatal"]) == ("bad_request", False)
    assert refused(opened(visitor, token))
    assert opened(visitor, share(visitor)).status_code == 200


def _fail(*arguments: object) -> None:
    raise OSError("no space left")


def test_link_shows_no_other_walk_of_the_session(visitor: Visitor) -> None:
    token = share(visitor)
    visitor.client.start(seed=6)
    assert all(refused(opened(visitor, token, name)) for name in NAMES)
    assert opened(visitor, share(visitor), "walk.json").json()["seed"] == 6


def test_link_works_as_long_as_the_recording_is_kept(world: World, tmp_path: Path) -> None:
    with serving(world, recordings=str(tmp_path)) as address:
        visitor = Visitor(address).walk(1, seed=5)
        token = share(visitor)
        visitor.client.send("stop")
        visitor.client.wait_closed()
        assert [opened(visitor, token, name).status_code for name in NAMES] == [200, 200]
    with serving(world, recordings=str(tmp_path)) as visitor.address:
        assert [opened(visitor, token, name).status_code for name in NAMES] == [200, 200]
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and token.encode() in path.read_bytes()
    ]


def test_browser_asks_for_the_servers_own_token(world: World, tmp_path: Path) -> None:
    with serving(world, recordings=str(tmp_path), token="sésame") as address:
        visitor = Visitor(address, "sésame").walk(1, seed=5)
        token = share(visitor)
        tries = [
            opened(visitor, token, Authorization=header)
            for header in ("", "Basic", "Basic !", f"Basic {_basic('sesame')}", f"Bearer {_basic('sésame')}")
        ]
        assert {answer.status_code for answer in tries} == {401}
        assert tries[0].headers["www-authenticate"].startswith("Basic realm=")
        for answer in (
            opened(visitor, token, Authorization=f"Basic {_basic('sésame')}"),
            httpx.get(
                visitor.url(), params={"share": token}, headers={b"Authorization": "Bearer sésame".encode()}
            ),
        ):
            assert answer.status_code == 200
        other = httpx.get(visitor.url(), headers={"Authorization": f"Basic {_basic('sésame')}"})
        assert (other.status_code, other.headers["www-authenticate"]) == (401, "Bearer")
        visitor.client.close()


def _basic(password: str) -> str:
    return b64encode(f"anybody:{password}".encode()).decode()


def test_who_has_a_link_does_not_keep_the_walker_out(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = share(visitor)
    monkeypatch.setattr(recording_api, "MAX_LINK_ANSWERS", 0)
    assert opened(visitor, token).status_code == 503
    assert visitor.get().status_code == 200


def test_what_is_not_recorded_has_no_link(world: World, tmp_path: Path) -> None:
    for folder in ("none", str(tmp_path / "file" / "recordings")):
        (tmp_path / "file").touch()
        with serving(world, recordings=folder) as address:
            visitor = Visitor(address).walk(1, seed=5)
            assert visitor.welcome["rights"] == ["watch"] + ["recording"] * (folder != "none")
            for kind in ("share",) if folder != "none" else ("share", "unshare"):
                visitor.client.send(kind, right="recording")
                error = visitor.client.collect(lambda message: message["type"] == "error")[-1]
                assert (error["code"], error["fatal"]) == ("bad_request", False)
            visitor.client.close()


def test_no_token_is_logged(visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        token = share(visitor)
        opened(visitor, token)
        opened(visitor, token + "x")
        unshare(visitor)
        opened(visitor, token)
    clients = ("httpcore", "httpx", "websockets")
    lines = [each for each in caplog.records if has_no_url(each) and not each.name.startswith(clients)]
    assert lines
    assert not [each for each in lines if token in each.getMessage()]


def test_link_can_be_revoked_after_the_session(visitor: Visitor, folder: Path) -> None:
    token = share(visitor)
    url = visitor.url("recording-link")
    assert refused(httpx.delete(url, headers={"X-Session-Secret": "a wrong secret"}))
    assert refused(httpx.delete(url, params={"share": token}))
    visitor.client.send("stop")
    visitor.client.wait_closed()
    secret = {"X-Session-Secret": visitor.welcome["secret"]}
    while (answer := httpx.delete(url, headers=secret)).status_code == 503:
        time.sleep(0.02)
    assert answer.status_code == 204
    assert refused(opened(visitor, token))
    limits = RecordingLimits(10**6, 10**7, 3600.0)
    with pytest.raises(MissingRecordingError):  # as after a restart
        Recordings(str(folder), limits).linked_walk(visitor.welcome["session"], hash_key(token))


def test_changes_of_a_link_are_limited(visitor: Visitor) -> None:
    """Each waits for the disk, and so do all recordings."""
    for _ in range(2 * LINKS_BURST):
        visitor.client.send("share", right="recording")
    kinds = [visitor.client.recv()["type"] for _ in range(2 * LINKS_BURST)]
    assert set(kinds) == {"shared", "error"}
    assert kinds.count("shared") <= LINKS_BURST + 2  # some more with time
