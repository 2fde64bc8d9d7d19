"""The package as it is installed, without its repository: the page is in it."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page

from support.paths import PACKAGE, REPOSITORY

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
BUILT_FROM = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "server")


def pip(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=250)


def copy_sources(target: Path, *, with_page: bool) -> Path:
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", *([] if with_page else ["page"]))
    for name in BUILT_FROM:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=left_out)
        else:
            shutil.copy(source, target / name)
    return target


def build(source: Path) -> subprocess.CompletedProcess[str]:
    return pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", source / "wheels", source)


def make_environment(folder: Path) -> Path:
    """An environment with the libraries of this one. Returns: its folder of programs."""
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


@contextmanager
def serving_installed(programs: Path, folder: Path) -> Iterator[str]:
    """Run the installed `worldplay serve` in another folder. Yields: where it says to walk."""
    command = [str(programs / "worldplay"), "serve", "--port", "0", "--max-sessions", "1"]
    environment = {"PATH": str(programs)}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            said = next(line for line in server.stderr if "ready" in line)
            yield said.rpartition("walk at ")[2].strip()
        finally:
            server.terminate()


def test_installed_wheel_serves_the_page(page: Page, tmp_path: Path) -> None:
    assert (PACKAGE / "web" / "page" / "index.html").is_file(), "run `make page` first"
    source = copy_sources(tmp_path, with_page=True)
    built = build(source)
    assert built.returncode == 0, built.stderr
    programs = make_environment(tmp_path / "environment")
    (wheel,) = (source / "wheels").iterdir()
    installed = pip("--python", programs / "python", "install", "--no-deps", "--no-index", wheel)
    assert installed.returncode == 0, installed.stderr
    shutil.rmtree(source / "server")
    with serving_installed(programs, tmp_path) as url:
        page.goto(url)
        page.click("#walk")
        page.wait_for_function("window.worldplay?.framesShown > 0")


def test_wheel_is_not_built_without_the_page(tmp_path: Path) -> None:
    built = build(copy_sources(tmp_path, with_page=False))
    assert built.returncode != 0
    assert "The page is not built: run `make page` first" in built.stdout + built.stderr
