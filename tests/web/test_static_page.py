"""How the built page is served."""

from pathlib import Path

import httpx
import pytest

from support.serving import serving
from worldplay.world.world import World


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>A page</title>")
    (tmp_path / "assets" / "index-abc.js").write_text("export {}")
    return tmp_path


def test_page_is_asked_for_anew_and_what_is_named_by_content_is_kept(world: World, built: Path) -> None:
    with serving(world, static_dir=built) as address:
        page = httpx.get(f"http://{address}/")
        script = httpx.get(f"http://{address}/assets/index-abc.js")
        missing = httpx.get(f"http://{address}/assets/index-old.js")
    assert (page.status_code, script.status_code, missing.status_code) == (200, 200, 404)
    assert page.headers["cache-control"] == "no-cache"
    assert "cache-control" not in missing.headers
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(world: World, built: Path) -> None:
    with serving(world, static_dir=built) as address:
        headers = httpx.get(f"http://{address}/").headers
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert not policy.keys() & {"script-src", "style-src"}
    assert policy["frame-ancestors"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"


def test_page_that_is_not_built_says_how(world: World, tmp_path: Path) -> None:
    with serving(world, static_dir=tmp_path) as address:
        answer = httpx.get(f"http://{address}/")
    assert (answer.status_code, answer.text) == (503, "The page is not built yet: run `make page`.")
