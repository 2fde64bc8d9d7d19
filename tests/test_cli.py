"""What an operator gets wrong ends in one sentence and exit code 2."""

import json
import shutil
import socket
from importlib.metadata import version
from pathlib import Path

import pytest

from support.paths import run_python
from worldplay.world.embedded.load import EMBEDDED

Answer = tuple[int, list[str], bool, str]
COMMANDS = ("serve", "render", "replay", "bench", "download", "models", "doctor")


def serve(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run `worldplay serve`. Returns: exit code and what it said."""
    command = ("-m", "worldplay", "serve", "--port", "0", *arguments)
    done = run_python(*command, check=False, **environment)
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
        "stop what is using it, or choose another with --port, WORLDPLAY_PORT or PORT"
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
    loading, problem = said.splitlines()
    assert loading.endswith(f"loading the model {str(directory)!r}")
    assert (code, problem) == (
        2,
        f"worldplay: {directory / 'vae.safetensors'} is missing; restore it from the release",
    )


HELP = [
    (["--help"], "Every command has a --help."),
    (["--version"], f"worldplay {version('worldplay-live')}"),
    *(([command, "--help"], "Usage:") for command in COMMANDS),
    (["serve", "--help", "--port", "1"], "Visitors who may walk at once; fewer if memory or"),
]
WRONG = [
    ([], "Usage:"),
    (["walk"], "No such command 'walk'"),
    *(([command, "--modle", "x"], "No such option: --modle") for command in COMMANDS),
    (["serve", "--port", "http"], "Invalid value for '--port'"),
    (["serve", "--port", "70000"], "setting port: expected at most 65535, got 70000"),
    (["serve", "--host", ""], "setting host: "),
    (["serve", "--host", "0.0.0.0:80"], "cannot listen on '0.0.0.0:80': expected an address"),
    (["serve", "--token", " "], "setting token: expected a token that is not blank"),
    (["serve", "--variant", "wan"], "setting variant: expected 'ar-distilled', "),
    (["serve", "--max-sessions", "0"], "setting max_sessions: expected at least 1, got 0"),
    (["serve", "--size", "240x416"], "--size has no effect with --model embedded"),
    (["render", "--variant", "ar"], "--variant has no effect with --model embedded"),
    (["render", "--steps", "0"], "Invalid value for '--steps'"),
    (
        ["render", "--out", "nowhere/clip.mp4"],
        "cannot write nowhere/clip.mp4: expected a file in a folder",
    ),
    (["render", "--image", "nowhere.png"], "nowhere.png"),
    (["render", "--pose", "nowhere.json"], "nowhere.json"),
    (["render", "--image", __file__], "expected a PNG, JPEG or WebP"),
    (["render", "--pose", "{"], "expected JSON"),
    (["render", "--pose", "jump-3"], "--pose: pose string item 'jump-3': expected an action"),
    (["render", "--pose", "w-3", "--out", "a", "--json", "a"], "expected two files for --out and --json"),
    (["bench", "--context", "4"], "--context has no effect without --random-weights"),
    (["bench", "--random-weights"], "expected --model hy-worldplay with --random-weights"),
    (["bench", "--json", "nowhere/a.json"], "cannot write nowhere/a.json"),
    (["download", "--variant", "wan"], "setting variant: expected 'ar-distilled', "),
    (["doctor", "--memory", "0"], "Invalid value for '--memory'"),
    (["doctor", "--size", "8x8"], "setting size: expected sides in multiples of 16"),
]
PROBE = """
import contextlib, io, json, sys, time
from worldplay import cli
answers = []
for arguments in json.load(sys.stdin):
    began, said, sys.argv = time.process_time(), io.StringIO(), ["worldplay", *arguments]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
    heavy = [name for name in ("torch", "diffusers", "transformers") if name in sys.modules]
    took_s = time.process_time() - began
    answers.append([code, heavy, took_s < 1, " ".join(said.getvalue().split())])
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    """What one process says to each of the arguments: code, heavy libraries, whether at once, and words."""
    asked = [arguments for arguments, _ in HELP + WRONG]
    done = run_python("-c", PROBE, said=json.dumps(asked))
    return dict(zip(map(str, asked), map(tuple, json.loads(done.stdout)), strict=True))


@pytest.mark.parametrize(("arguments", "said"), HELP)
def test_help_is_there_at_once(arguments: list[str], said: str, answers: dict[str, Answer]) -> None:
    *facts, text = answers[str(arguments)]
    assert said in text
    assert facts == [0, [], True]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_wrong_arguments_are_told_at_once(
    arguments: list[str], said: str, answers: dict[str, Answer]
) -> None:
    *facts, text = answers[str(arguments)]
    assert said in text
    assert facts == [2, [], True]
