"""Every route names its methods: another one gets 405, and HEAD is answered where GET is."""

from collections.abc import Iterator

import httpx
import pytest

from support.serving import serving
from worldplay.world.world import World

ID = "a" * 24
METHODS = {
    "/": {"GET"},
    "/assets/a.js": {"GET"},
    "/health": {"GET"},
    "/live": {"GET"},
    "/ready": {"GET"},
    "/metrics": {"GET"},
    "/openapi.json": {"GET"},
    f"/w/{ID}": {"GET"},
    "/api/generate-video": {"POST"},
    "/api/sessions": {"GET"},
    "/api/snapshots/": {"GET", "POST"},
    f"/api/snapshots/{ID}": {"GET", "DELETE"},
    f"/api/sessions/{ID}/recording.mp4": {"GET"},
    f"/api/sessions/{ID}/walk.json": {"GET"},
    f"/api/sessions/{ID}/recording-link": {"DELETE"},
}


@pytest.fixture(scope="module")
def client(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "page" / "assets").mkdir(parents=True)
    (folder / "page" / "index.html").write_text("<p>The page")
    (folder / "page" / "assets" / "a.js").write_text("1")
    folders = {"store": "walks", "recordings": "recordings", "static_dir": "page"}
    settings = {name: str(folder / each) for name, each in folders.items()}
    with serving(world, **settings) as address, httpx.Client(base_url=f"http://{address}") as client:
        yield client


@pytest.mark.parametrize("path", METHODS)
def test_other_methods_are_not_allowed(client: httpx.Client, path: str) -> None:
    allowed = METHODS[path] | ({"HEAD"} if "GET" in METHODS[path] else set())
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"):
        answer = client.request(method, path)
        assert (answer.status_code == 405) == (method not in allowed), method
        if method not in allowed:
            assert {name.strip() for name in answer.headers["allow"].split(",")} == allowed
            if path.startswith("/api/") and method != "HEAD":
                assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", [path for path, methods in METHODS.items() if "GET" in methods])
def test_head_is_answered_like_get(client: httpx.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers.get("content-type") == got.headers.get("content-type")


def test_every_path_of_the_description_is_tried(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()["paths"]
    assert {path.replace("{id}", ID) for path in described} <= METHODS.keys()
