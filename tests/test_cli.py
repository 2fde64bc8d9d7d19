"""What an operator gets wrong ends in one sentence and exit code 2."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from worldplay.world.embedded.load import EMBEDDED


def serve(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run `worldplay serve`. Returns: exit code and what it said."""
    command = [sys.executable, "-m", "worldplay", "serve", "--port", "0", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr.strip()


def copy_world(target: Path) -> Path:
    shutil.copytree(EMBEDDED, target / "world")
    return target / "world"


def test_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = serve("--port", port)
    assert code == 2
    assert said == (
        f"worldplay: cannot listen on 127.0.0.1:{port} (Address already in use); "
        "stop what is using it, or choose another with --port"
    )


def test_unknown_setting() -> None:
    code, said = serve(WORLDPLAY_MODLE="embedded")
    assert code == 2
    assert said.startswith("worldplay: unknown setting WORLDPLAY_MODLE; known are WORLDPLAY_")
    assert "\n" not in said


def test_unknown_option() -> None:
    code, said = serve("--modle", "embedded")
    assert code == 2
    assert "No such option: --modle" in said


@pytest.mark.slow
def test_missing_weights(tmp_path: Path) -> None:
    directory = copy_world(tmp_path)
    (directory / "vae.safetensors").unlink()
    code, said = serve("--model", str(directory))
    assert (code, said) == (
        2,
        f"worldplay: {directory / 'vae.safetensors'} is missing; restore it from the release",
    )
