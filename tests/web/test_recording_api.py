"""Recordings over HTTP: what a session was sent is its file, for who has its secret and nobody else."""

import errno
import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from support.pictures import decode_file
from support.raw_client import RawClient
from support.recording_visitor import Visitor
from support.serving import serving
from support.tiny_world import make_world
from worldplay.media.fmp4 import FRAGMENT_HEAD_BYTES
from worldplay.store import recordings as recordings_module
from worldplay.store.errors import RecordingsFullError
from worldplay.store.files import Files
from worldplay.store.recordings import RecordingLimits
from worldplay.web import app, recording_api
from worldplay.web.schemas import RecordedWalk
from worldplay.world.pose_files import parse_trajectory
from worldplay.world.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def address(world: World, folder: Path) -> Iterator[str]:
    with serving(world, recordings=str(folder), token="sesame") as address:
        yield address


@pytest.fixture(scope="module")
def ended(address: str) -> Visitor:
    """A visitor who walked, changed the prompt, and left on purpose."""
    visitor = Visitor(address, "sesame").walk(1, seed=5, prompt="by day")
    visitor.client.send("pause")
    visitor.messages += visitor.client.collect(lambda message: message.get("what") == "paused")
    visitor.client.send("prompt", text="at night")
    visitor.client.send("resume")
    visitor.walk(40)
    visitor.client.send("stop")
    visitor.messages += visitor.client.wait_closed()[0]
    return visitor


def title_at(container: Any, number: int) -> tuple[float, str]:
    chapter = container.chapters()[number]
    return chapter["start"] / 1e7, chapter["metadata"]["title"]


def test_recording_is_what_was_sent(ended: Visitor) -> None:
    answer = ended.get()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert b"".join(media["data"] for media in ended.sent("media")) in answer.content
    assert len(decode_file(answer.content)) == len(ended.sent("media"))


def test_recording_is_whole_right_after_the_walk(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = recordings_module.Recordings.append

    def append_slowly(*arguments: Any) -> None:
        time.sleep(0.05)
        append(*arguments)

    monkeypatch.setattr(recordings_module.Recordings, "append", append_slowly)
    with serving(world, recordings=str(tmp_path)) as address:
        visitor = Visitor(address).walk(8, seed=1)
        visitor.client.send("stop")
        visitor.messages += visitor.client.wait_closed()[0]
        assert len(decode_file(visitor.get().content)) == len(visitor.sent("media"))


def test_chapters_are_the_prompts(ended: Visitor) -> None:
    changed = next(message for message in ended.sent("state") if message["what"] == "prompt")
    first = next(chunk for chunk in ended.sent("chunk") if chunk["index"] == changed["chunk"])
    with av.open(io.BytesIO(ended.get().content), "r") as container:
        assert title_at(container, 0) == (0.0, "by day")
        start_s, title = title_at(container, 1)
        assert (round(start_s * 24), title) == (first["first_frame"], "at night")


def test_walk_is_beside_it(ended: Visitor) -> None:
    walk = ended.get("walk.json").json()
    chunks = {chunk["index"]: chunk for chunk in ended.sent("chunk")}
    assert walk["poses"][: 4 * len(chunks)] == [
        pose for index in sorted(chunks) for pose in chunks[index]["poses"]
    ]
    assert (walk["seed"], walk["prompt"], walk["model"]) == (5, "by day", "tiny")
    assert [change["text"] for change in walk["prompts"]] == ["at night"]
    assert parse_trajectory(walk).num_latents == len(walk["labels"])


@pytest.mark.parametrize("name", ["recording.mp4", "walk.json"])
def test_only_who_has_the_secret_gets_it(ended: Visitor, name: str) -> None:
    other = Visitor(ended.address, "sesame")
    unknown = ended.url(name).replace(ended.welcome["session"], "nobody-knows-this")
    tries = [
        httpx.get(ended.url(name), headers=ended.headers(X_Session_Secret=secret))
        for secret in ("", "x", other.welcome["secret"], ended.welcome["secret"] + "x")
    ]
    tries += [httpx.get(unknown, headers=ended.headers()), other.get(name)]
    no_header = {"Authorization": "Bearer sesame"}
    tries.append(httpx.get(ended.url(name), headers=no_header))
    in_url = f"{ended.url(name)}?secret={ended.welcome['secret']}"
    tries.append(httpx.get(in_url, headers=no_header))
    other.client.close()
    assert {(answer.status_code, answer.content) for answer in tries} == {(404, tries[0].content)}
    assert tries[0].json()["error"]["code"] == "not_found"


def test_token_is_needed(ended: Visitor) -> None:
    assert ended.get(Authorization="Bearer x").status_code == 401


def test_parts_are_sent(ended: Visitor) -> None:
    whole = ended.get().content
    for wanted, first, last in [
        ("bytes=0-0", 0, 0),
        ("bytes=100-70000", 100, min(70_000, len(whole) - 1)),
        ("bytes=5000-", 5000, len(whole) - 1),
        ("bytes=-200", len(whole) - 200, len(whole) - 1),
    ]:
        answer = ended.get(Range=wanted)
        assert (answer.status_code, answer.content) == (206, whole[first : last + 1])
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"


def test_part_behind_the_end_is_refused(ended: Visitor) -> None:
    size = len(ended.get().content)
    answer = ended.get(Range=f"bytes={size}-")
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")
    assert answer.json()["error"]["code"] == "bad_range"


def test_part_of_another_version_is_not_mixed_in(ended: Visitor) -> None:
    whole = ended.get()
    assert ended.get(Range="bytes=0-9", If_Range=whole.headers["etag"]).status_code == 206
    assert ended.get(Range="bytes=0-9", If_Range='"another"').content == whole.content


def test_head_tells_the_size(ended: Visitor) -> None:
    answer = httpx.head(ended.url(), headers=ended.headers())
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(ended.get().content)
    assert answer.headers["accept-ranges"] == "bytes"
    assert httpx.head(ended.url("walk.json"), headers=ended.headers()).status_code == 200


def test_session_that_walks_has_what_was_sent_so_far(address: str) -> None:
    visitor = Visitor(address, "sesame").walk(20, seed=1)
    before = visitor.get()
    assert len(decode_file(before.content)) >= 20
    visitor.walk(40)
    after = visitor.get()
    assert len(decode_file(after.content)) >= 60
    assert before.headers["etag"] != after.headers["etag"]
    assert len(visitor.get("walk.json").json()["poses"]) >= 16
    visitor.client.close()


def test_another_walk_is_another_recording(address: str) -> None:
    visitor = Visitor(address, "sesame").walk(20, seed=1)
    visitor.client.start(seed=2)
    visitor.messages.clear()
    visitor.walk(20)
    video = visitor.get().content
    assert all(media["data"][FRAGMENT_HEAD_BYTES:] in video for media in visitor.sent("media"))
    pictures = decode_file(video)
    assert [picture.pts for picture in pictures] == [1000 * number for number in range(len(pictures))]
    assert visitor.get("walk.json").json()["seed"] == 2
    visitor.client.close()


def test_old_video_is_never_served_as_that_of_another_walk(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk itself is there all the same."""
    with serving(world, recordings=str(tmp_path)) as address:
        visitor = Visitor(address).walk(20, seed=1)
        visitor.client.send("pause")
        visitor.client.collect(lambda message: message["type"] == "state")
        assert visitor.get().status_code == 200  # and nothing more of this walk comes
        monkeypatch.setattr(recordings_module.Recordings, "make_room", _refuse)
        visitor.client.send("start", seed=2)
        visitor.hear_of_the_end()
        answers = [visitor.get() for _ in range(2)]
        assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [
            (404, "not_found")
        ] * 2
        assert visitor.get("walk.json").json()["seed"] == 2
        wrong = visitor.get("walk.json", X_Session_Secret="x")
        assert (wrong.status_code, wrong.content) == (404, answers[0].content)
        visitor.client.close()


def _refuse(*arguments: object) -> None:
    raise RecordingsFullError


def test_walk_made_on_another_server_is_not_appended_to_the_last_one_here(
    world: World, tmp_path: Path
) -> None:
    """Both servers share the store, but not the recordings."""
    here, there = (
        {"recordings": str(tmp_path / name), "store": str(tmp_path / "walks"), "resume_s": 60.0}
        for name in ("here", "there")
    )
    with serving(world, **here) as address:
        visitor = Visitor(address).walk(20, seed=1)
        assert visitor.get().status_code == 200
        visitor.client.close()
    resume = {"session": visitor.welcome["session"], "secret": visitor.welcome["secret"], "fragment": 19}
    for folders, start in ((there, {"seed": 2}), (here, {})):
        with serving(world, **folders) as address, RawClient(f"ws://{address}/ws") as client:
            assert client.hello(resume=resume)["resumed"]
            if start:
                client.send("start", **start)
                client.collect(lambda message: message["type"] == "chunk" and message["index"] == 0)
            sent = client.collect(lambda message: message["type"] == "media")
            visitor.address = address
            video = visitor.get().content
            assert decode_file(video)[0].pts == 0
            kept = sent[-1]["data"][FRAGMENT_HEAD_BYTES:]
            assert 0 <= video.index(kept) < 4000  # its first frame
            assert visitor.get("walk.json").json()["seed"] == 2


def test_recording_goes_on_after_a_restart(world: World, tmp_path: Path) -> None:
    folders = {"recordings": str(tmp_path / "recordings"), "store": str(tmp_path / "walks"), "resume_s": 60.0}
    with serving(world, **folders) as address:
        visitor = Visitor(address).walk(40, seed=1)
        visitor.client.close()
    resume = {"session": visitor.welcome["session"], "secret": visitor.welcome["secret"], "fragment": 39}
    walk = next((tmp_path / "recordings").rglob("walk.json"))
    written = walk.read_text()
    walk.unlink()  # as if the server had been killed
    with serving(world, **folders) as address:
        visitor.address = address
        assert visitor.get("walk.json").text == written
        with RawClient(f"ws://{address}/ws") as client:
            assert client.hello(resume=resume)["resumed"]
            client.collect(lambda message: message["type"] == "media" and message["frame"] >= 60)
        assert len(decode_file(visitor.get().content)) >= 60


def test_path_of_a_recording_that_made_room_comes_from_the_store(world: World, tmp_path: Path) -> None:
    folders = {"recordings": str(tmp_path / "recordings"), "store": str(tmp_path / "walks")}
    with serving(world, **folders) as address:
        visitor = Visitor(address).walk(20, seed=3)
        visitor.client.close()
    shutil.rmtree(tmp_path / "recordings")
    with serving(world, **folders) as visitor.address:
        assert visitor.get().status_code == 404
        assert visitor.get("walk.json").json()["seed"] == 3
        assert visitor.get("walk.json", X_Session_Secret="x").status_code == 404


def test_recording_ends_at_its_limit_and_the_walk_goes_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = RecordingLimits(walk_bytes=8000, all_bytes=10**6, keep_s=60.0)
    monkeypatch.setattr(app, "RecordingLimits", lambda **given: limits)
    with serving(world, recordings=str(tmp_path)) as address:
        visitor = Visitor(address).walk(1, seed=1)
        assert visitor.hear_of_the_end() == "limit"
        visitor.walk(60)
        assert "state" not in {message["type"] for message in visitor.messages}
        assert 0 < len(decode_file(visitor.get().content)) < 60
        visitor.client.close()


def test_full_disk_ends_recordings_and_no_walk(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snapshots are not written either: nothing else is told, and nothing stops."""
    folders = {"recordings": str(tmp_path / "recordings"), "store": str(tmp_path / "walks")}
    with serving(world, **folders) as address:
        visitor = Visitor(address).walk(20, seed=1)
        assert visitor.get().status_code == 200  # all of it is on disk
        with monkeypatch.context() as context:
            context.setattr(recordings_module, "LEAST_FREE_BYTES", 2**62)
            context.setattr(Files, "write", _fail)
            assert visitor.hear_of_the_end() == "disk"
            visitor.walk(60)
        assert "state" not in {message["type"] for message in visitor.messages}
        metrics = httpx.get(f"http://{address}/metrics").text
        assert 'worldplay_recordings_ended_total{reason="disk"} 1.0' in metrics
        assert len(decode_file(visitor.get().content)) >= 20
        visitor.client.close()


def _fail(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_client_that_does_not_know_of_recordings_is_told_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings_module, "LEAST_FREE_BYTES", 2**62)
    with serving(world, recordings=str(tmp_path)) as address, RawClient(f"ws://{address}/ws") as client:
        assert "recording" not in client.hello()
        client.start(seed=1)
        messages = client.collect(lambda message: message["type"] == "media" and message["frame"] == 40)
    assert "state" not in {message["type"] for message in messages}


def test_server_that_records_nothing_says_so(world: World) -> None:
    with serving(world) as address:
        visitor = Visitor(address).walk(1, seed=1)
        assert visitor.welcome["recording"] is False
        assert visitor.get().status_code == 404
        visitor.client.close()


def test_answers_of_one_session_are_bounded(ended: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_api, "MAX_ANSWERS", 0)
    answer = ended.get()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert answer.headers["retry-after"] == "5"


def test_damaged_disk_is_told_as_such(ended: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings_module.Recordings, "find", _fail)
    answer = ended.get()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")


def test_answers_are_as_described(ended: Visitor) -> None:
    RecordedWalk.model_validate_json(ended.get("walk.json").content)
    document = httpx.get(f"http://{ended.address}/openapi.json").json()
    described = document["paths"]["/api/sessions/{id}/recording.mp4"]["get"]
    assert {"200", "206", "401", "404", "416"} <= described["responses"].keys()
    assert [each["name"] for each in described["parameters"]] == ["id", "share", "X-Session-Secret", "Range"]


def test_download_that_fails_half_way_is_no_whole_file(
    ended: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings_module.Recordings, "read", _fail)
    with pytest.raises(httpx.RemoteProtocolError):
        ended.get()


def test_no_secret_is_written(ended: Visitor, folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if ended.welcome["secret"].encode() in path.read_bytes()]
