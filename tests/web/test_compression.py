"""Which answers are compressed, and for whom."""

from pathlib import Path

import httpx
import pytest

from support.serving import serving
from worldplay.world.world import World

SCRIPT = "export const words = 'the same again and again';\n" * 3000  # several messages of a file's body


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>A page</title>" + "<p>text</p>" * 100)
    (tmp_path / "assets" / "index-abc.js").write_text(SCRIPT)
    return tmp_path


def fetch(address: str, path: str, encoding: str = "gzip", **headers: str) -> httpx.Response:
    return httpx.get(f"http://{address}{path}", headers={"Accept-Encoding": encoding, **headers})


@pytest.mark.parametrize("path", ["/", "/assets/index-abc.js", "/openapi.json"])
def test_page_and_description_are_compressed(world: World, page: Path, path: str) -> None:
    with serving(world, static_dir=page) as address:
        small, plain = fetch(address, path, "br, gzip;q=0.5"), fetch(address, path, "identity")
    assert small.headers["content-encoding"] == "gzip"
    assert small.num_bytes_downloaded < plain.num_bytes_downloaded / 3
    assert "content-encoding" not in plain.headers
    assert small.text == plain.text
    assert [answer.headers["vary"] for answer in (small, plain)] == ["Accept-Encoding"] * 2


@pytest.mark.parametrize("encoding", ["gzip;q=0", "gzip; q=0.000, br", "", "notgzip"])
def test_client_that_does_not_take_gzip_gets_none(world: World, page: Path, encoding: str) -> None:
    with serving(world, static_dir=page) as address:
        answer = fetch(address, "/assets/index-abc.js", encoding)
    assert "content-encoding" not in answer.headers
    assert answer.text == SCRIPT


def test_page_that_is_known_is_not_sent_again(world: World, page: Path) -> None:
    with serving(world, static_dir=page) as address:
        for encoding in ("gzip", "identity"):
            tag = fetch(address, "/", encoding).headers["etag"]
            again = fetch(address, "/", "gzip", **{"If-None-Match": tag})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
            assert again.headers["vary"] == "Accept-Encoding"
            assert tag.startswith('W/"')


def test_part_of_a_file_is_not_compressed(world: World, page: Path) -> None:
    with serving(world, static_dir=page) as address:
        part = fetch(address, "/assets/index-abc.js", Range="bytes=7-11")
    assert (part.status_code, part.content) == (206, b"const")
    assert "content-encoding" not in part.headers


@pytest.mark.parametrize("accept", ["video/mp4", "application/json"])
def test_clip_is_not_compressed(world: World, accept: str) -> None:
    with serving(world) as address:
        answer = httpx.post(
            f"http://{address}/api/generate-video",
            json={"prompt": "", "num_frames": 13, "num_inference_steps": 1},
            headers={"Accept": accept, "Accept-Encoding": "gzip"},
            timeout=60,
        )
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
