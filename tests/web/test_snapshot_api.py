"""Kept walks over HTTP: those who have a key list, upload and delete theirs; whoever has an id walks on."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
import torch

from support.raw_client import RawClient
from support.raw_socket import connect
from support.serving import serving
from support.tiny_world import make_world
from support.waiting import wait_until
from support.walks import walk_about
from worldplay.store.files import Files
from worldplay.store.store import Store
from worldplay.web import kept_download, snapshot_api, work_pace
from worldplay.web.answer import Answer
from worldplay.web.kept_download import KeptDownload
from worldplay.web.limits import BytesLimit
from worldplay.web.opened_snapshots import TOO_MANY
from worldplay.web.schemas import NewSnapshot, SnapshotList
from worldplay.web.snapshots import load_snapshot
from worldplay.world.snapshot_file import write_snapshot
from worldplay.world.snapshot_reader import read_snapshot
from worldplay.world.world import World

KEY = {"X-Walk-Key": "an owner's own key"}
BYTES_ADD = BytesLimit.add
FILE = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def data(world: World) -> bytes:
    with torch.inference_mode():
        return write_snapshot(walk_about(world).snapshot())


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serving(world, store=str(tmp_path_factory.mktemp("walks")), token="sesame") as address,
        httpx.Client(
            base_url=f"http://{address}/", headers={"Authorization": "Bearer sesame"}, timeout=30
        ) as client,
    ):
        yield client


def upload(client: httpx.Client, data: bytes, name: str = "the well") -> httpx.Response:
    return client.post("api/snapshots/", params={"name": name}, content=data, headers=KEY | FILE)


def test_everybody_who_opens_a_kept_walk_walks_another(data: bytes, tmp_path: Path) -> None:
    store, snapshot = Store(Files(str(tmp_path)), 10**9, 60.0), read_snapshot(data)
    id = store.keep("an owner's own key", "", snapshot)
    opened = [snapshot, load_snapshot(store, id), load_snapshot(store, id)]
    assert len({each.beginning.walk for each in opened if each.beginning}) == 3


def test_address_for_which_much_was_computed_waits(
    client: httpx.Client, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = upload(client, data).json()["id"]
    monkeypatch.setattr(work_pace, "GRACE_S", -60.0)  # of rest that is due after any work
    refused = (upload(client, data), client.get(f"api/snapshots/{id}"))
    assert [answer.status_code for answer in refused] == [503, 503]
    assert int(refused[0].headers["Retry-After"]) > 0
    assert client.get("api/snapshots/", headers=KEY).status_code == 200


def test_uploaded_walk_is_listed_downloaded_and_deleted(client: httpx.Client, data: bytes) -> None:
    answer = upload(client, data)
    assert answer.status_code == 201
    id = answer.json()["id"]
    listed = client.get("api/snapshots/", headers=KEY).json()["snapshots"]
    assert [(each["id"], each["name"], each["chunks"]) for each in listed if each["id"] == id] == [
        (id, "the well", 3)
    ]
    got = client.get(f"api/snapshots/{id}").content
    assert got == write_snapshot(read_snapshot(data))
    assert client.delete(f"api/snapshots/{id}", headers=KEY).status_code == 204
    assert client.get(f"api/snapshots/{id}").status_code == 404


def test_others_can_neither_list_nor_delete_a_walk(client: httpx.Client, data: bytes) -> None:
    id = upload(client, data).json()["id"]
    other = {"X-Walk-Key": "the key of another"}
    assert client.get("api/snapshots/", headers=other).json() == {"snapshots": []}
    assert client.delete(f"api/snapshots/{id}", headers=other).status_code == 404
    assert client.get(f"api/snapshots/{id}").status_code == 200


def test_uploaded_walk_can_be_walked(client: httpx.Client, data: bytes) -> None:
    id = upload(client, data).json()["id"]
    with RawClient(f"ws://{client.base_url.netloc.decode()}/ws") as walker:
        walker.hello(token="sesame")
        walker.start(snapshot=id)
        assert [walker.recv_type("chunk")["index"] for _ in range(2)] == [2, 3]


def test_answers_are_as_described(client: httpx.Client, data: bytes) -> None:
    NewSnapshot.model_validate_json(upload(client, data).content)
    SnapshotList.model_validate_json(client.get("api/snapshots/", headers=KEY).content)
    document = client.get("openapi.json").json()
    assert document["paths"]["/api/snapshots/"].keys() == {"get", "post"}
    assert document["paths"]["/api/snapshots/{id}"].keys() == {"get", "delete"}
    codes = document["components"]["schemas"]["Error"]["properties"]["code"]["enum"]
    assert {"bad_snapshot", "store_full"} <= set(codes)


def test_link_opens_the_page_with_the_walk(client: httpx.Client, data: bytes) -> None:
    id = upload(client, data).json()["id"]
    answer = client.get(f"w/{id}", headers={"Authorization": ""})
    assert (answer.status_code, answer.headers["location"]) == (303, f"../#walk={id}")
    assert client.get("w/nobody-knows-this-one").status_code == 404


@pytest.mark.parametrize("path", ["api/snapshots/", "api/snapshots/nobody-knows-this-one"])
def test_token_is_needed(client: httpx.Client, path: str) -> None:
    for method in ("GET", "DELETE", "POST"):
        answer = client.request(method, path, headers=KEY | FILE | {"Authorization": "Bearer x"})
        assert answer.status_code in (401, 405), method


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"no walk", KEY | FILE, 422, "bad_snapshot"),
        (b"", KEY | FILE, 422, "bad_snapshot"),
        (b"no walk", KEY, 415, "unsupported_media_type"),
        (b"no walk", FILE, 422, "bad_field"),
        (b"no walk", FILE | {"X-Walk-Key": "short"}, 422, "bad_field"),
    ],
)
def test_wrong_upload_is_refused(
    client: httpx.Client, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.post("api/snapshots/", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_upload_that_is_too_large_is_refused(
    client: httpx.Client, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_api, "MAX_UPLOAD_BYTES", 100)
    assert upload(client, data).status_code == 413


def test_walk_of_another_world_is_refused(client: httpx.Client, world: World, data: bytes) -> None:
    other = data.replace(b"tiny weights", b"TINY WEIGHTS")
    answer = upload(client, other)
    assert answer.status_code == 422
    assert "made with the weights" in answer.json()["error"]["message"]


def test_walk_that_costs_more_than_others_is_refused(client: httpx.Client, data: bytes) -> None:
    answer = upload(client, data.replace(rb"\"steps\":null", rb"\"steps\":100 "))
    assert answer.status_code == 422
    assert "denoising steps, got 100" in answer.json()["error"]["message"]


def test_full_store_says_so(world: World, data: bytes, tmp_path: Path) -> None:
    with (
        serving(world, store=str(tmp_path), store_mb=1) as address,
        httpx.Client(base_url=f"http://{address}/") as client,
    ):
        for _ in range(1 + 10**6 // len(data)):
            answer = upload(client, data)
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "store_full")


def test_server_that_keeps_nothing_has_no_such_routes(world: World) -> None:
    with serving(world) as address:
        assert httpx.get(f"http://{address}/api/snapshots/", headers=KEY).status_code == 404


def test_uploads_that_never_come_block_nobody(client: httpx.Client, data: bytes) -> None:
    address = str(client.base_url.netloc, "ascii")
    head = (
        f"POST /api/snapshots/?name=x HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer sesame\r\n"
        f"X-Walk-Key: {KEY['X-Walk-Key']}\r\n"
        f"Content-Type: {FILE['Content-Type']}\r\nContent-Length: 9\r\n\r\n"
    )
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(connect(address)).sendall(head.encode())
        time.sleep(0.2)
        assert upload(client, data).status_code == 201


def test_client_that_leaves_during_an_upload_is_no_error(
    client: httpx.Client, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    address = str(client.base_url).removeprefix("http://").rstrip("/")
    head = (
        f"POST /api/snapshots/ HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer sesame\r\n"
        f"X-Walk-Key: {KEY['X-Walk-Key']}\r\nContent-Type: {FILE['Content-Type']}\r\n"
        "Content-Length: 9\r\n\r\n"
    )
    with caplog.at_level(logging.INFO):
        with connect(address) as socket:
            socket.sendall(head.encode() + b"four")
            time.sleep(0.1)
        wait_until(lambda: "a client left" in caplog.text)
    assert not any(record.exc_info for record in caplog.records)


def test_one_address_has_few_requests_at_a_time(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Event()
    monkeypatch.setattr(Store, "list_kept", lambda *arguments: event.wait(60.0) and [])
    codes: list[int] = []

    def ask() -> None:
        codes.append(
            httpx.get(f"{client.base_url}api/snapshots/", headers=dict(client.headers) | KEY).status_code
        )

    threads = [Thread(target=ask) for _ in range(snapshot_api.MAX_REQUESTS_EACH + 3)]
    for thread in threads:
        thread.start()
    while len(codes) < 3:
        time.sleep(0.01)
    event.set()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] * snapshot_api.MAX_REQUESTS_EACH + [503] * 3


def test_file_is_refused_if_memory_is_short(
    client: httpx.Client, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, free = upload(client, data).json()["id"], 2 * len(data)
    monkeypatch.setattr(snapshot_api, "is_memory_short", lambda beside: beside > free)
    refused = (upload(client, data), client.get(f"api/snapshots/{id}"))
    assert [answer.json()["error"]["code"] for answer in refused] == ["busy"] * 2
    free = 3 * len(data)
    assert upload(client, data).status_code == 201


def test_download_is_read_while_it_is_sent(
    client: httpx.Client, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_download, "READ_BYTES", 1000)
    id = upload(client, data).json()["id"]
    read: list[int] = []
    read_range = Files.read_range

    def count(files: Files, name: str, start: int, stop: int) -> bytes:
        read.append(stop - start)
        return read_range(files, name, start, stop)

    monkeypatch.setattr(Files, "read_range", count)
    assert client.get(f"api/snapshots/{id}").content == data
    assert (max(read), sum(read)) == (1000, len(data))
    assert client.head(f"api/snapshots/{id}").headers["Content-Length"] == str(len(data))
    assert sum(read) == len(data)
    monkeypatch.setattr(Files, "read_range", _fail)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"api/snapshots/{id}")


def test_download_counts_until_it_is_sent(
    client: httpx.Client, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, event, codes = f"{client.base_url}api/snapshots/{upload(client, data).json()['id']}", Event(), []
    send_file = KeptDownload._send_file

    async def wait(download: KeptDownload, answer: Answer) -> None:
        await asyncio.to_thread(event.wait, 60.0)
        await send_file(download, answer)

    monkeypatch.setattr(KeptDownload, "_send_file", wait)

    def ask() -> None:
        codes.append(httpx.get(url, headers=client.headers).status_code)

    threads = [Thread(target=ask) for _ in range(snapshot_api.MAX_REQUESTS_EACH + 2)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    while len(codes) < 2:
        time.sleep(0.01)
    event.set()
    for thread in threads:
        thread.join()
    assert codes == [503] * 2 + [200] * snapshot_api.MAX_REQUESTS_EACH


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "api/snapshots/{}"), ("DELETE", "api/snapshots/{}"), ("GET", "w/{}")]
)
def test_disk_that_fails_is_told_in_a_line(
    client: httpx.Client, data: bytes, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    id = upload(client, data).json()["id"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Files, "read", _fail)
        answer = client.request(method, path.format(id), headers=KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert [record.exc_info for record in caplog.records if "store of walks fails" in record.message] == [
        None
    ]
    assert not any(record.exc_info for record in caplog.records)


def _fail(*arguments: object) -> bytes:
    raise OSError(5, "Input/output error")


def test_walker_goes_on_if_a_bookmark_cannot_be_read(client: httpx.Client, data: bytes) -> None:
    id = upload(client, data).json()["id"]
    address = str(client.base_url).removeprefix("http://")
    with RawClient(f"ws://{address}ws") as walker, pytest.MonkeyPatch.context() as patch:
        walker.hello(token="sesame")
        walker.start(seed=1)
        walker.recv_type("chunk")
        patch.setattr(Files, "read", _fail)
        walker.send("start", snapshot=id)
        error = walker.recv_type("error")
        assert (error["code"], error["fatal"]) == ("bad_request", False)
        assert walker.recv_type("chunk")


def test_bookmarks_that_wait_for_the_disk_take_little_memory(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BytesLimit, "add", lambda limit, *thing: not limit._held and BYTES_ADD(limit, *thing))
    event, keep = Event(), Store.keep
    monkeypatch.setattr(Store, "keep", lambda *arguments: event.wait(60.0) and keep(*arguments))
    with RawClient(f"ws://{str(client.base_url).removeprefix('http://')}ws") as walker:
        walker.hello(token="sesame")
        walker.start(seed=1)
        walker.recv_type("chunk")
        for _ in range(2):
            walker.send("bookmark", name="", key=KEY["X-Walk-Key"])
        error = walker.recv_type("error")
        assert (error["message"], error["fatal"]) == (TOO_MANY, False)
        event.set()
        assert walker.recv_type("bookmarked")
