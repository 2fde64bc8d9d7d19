"""Which answers are compressed, and for whom."""

from collections.abc import Iterator

import httpx
import pytest

from support.serving import serving
from worldplay.world.world import World

SCRIPT = "export const words = 'the same again and again';\n" * 3000  # several messages of a file's body


@pytest.fixture(scope="module")
def address(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a server with a page."""
    page = tmp_path_factory.mktemp("page")
    (page / "assets").mkdir()
    (page / "index.html").write_text("<!doctype html><title>A page</title>" + "<p>text</p>" * 100)
    (page / "assets" / "index-abc.js").write_text(SCRIPT)
    with serving(world, static_dir=page) as address:
        yield address


def fetch(address: str, path: str, encoding: str = "gzip", **headers: str) -> httpx.Response:
    return httpx.get(f"http://{address}{path}", headers={"Accept-Encoding": encoding, **headers})


@pytest.mark.parametrize("path", ["/", "/assets/index-abc.js", "/openapi.json"])
def test_page_and_description_are_compressed(address: str, path: str) -> None:
    small, plain = fetch(address, path, "br, gzip;q=0.5"), fetch(address, path, "identity")
    assert small.headers["content-encoding"] == "gzip"
    assert small.num_bytes_downloaded < plain.num_bytes_downloaded / 3
    assert "content-encoding" not in plain.headers
    assert small.text == plain.text
    assert [answer.headers["vary"] for answer in (small, plain)] == ["Accept-Encoding"] * 2


@pytest.mark.parametrize("encoding", ["gzip;q=0", "gzip; q=0.000, br", "", "notgzip"])
def test_client_that_does_not_take_gzip_gets_none(address: str, encoding: str) -> None:
    answer = fetch(address, "/assets/index-abc.js", encoding)
    assert "content-encoding" not in answer.headers
    assert answer.text == SCRIPT


def test_page_that_is_known_is_not_sent_again(address: str) -> None:
    for encoding in ("gzip", "identity"):
        tag = fetch(address, "/", encoding).headers["etag"]
        again = fetch(address, "/", "gzip", **{"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["vary"] == "Accept-Encoding"
        assert tag.startswith('W/"')


def test_part_of_a_file_is_not_compressed(address: str) -> None:
    part = fetch(address, "/assets/index-abc.js", Range="bytes=7-11")
    assert (part.status_code, part.content) == (206, b"const")
    assert "content-encoding" not in part.headers


@pytest.mark.parametrize("accept", ["video/mp4", "application/json"])
def test_clip_is_not_compressed(address: str, accept: str) -> None:
    answer = httpx.post(
        f"http://{address}/api/generate-video",
        json={"prompt": "", "num_frames": 13, "num_inference_steps": 1},
        headers={"Accept": accept, "Accept-Encoding": "gzip"},
        timeout=60,
    )
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
