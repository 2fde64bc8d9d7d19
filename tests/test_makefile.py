"""What make looks for before it downloads anything, and what it passes on to the server."""

import inspect
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from support.paths import REPOSITORY
from worldplay import cli


def make(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run make. Returns: exit code and what it said."""
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr + done.stdout


def write_program(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(["#!/bin/sh", *lines, ""]))
    (folder / name).chmod(0o755)


def serve_options(*variables: str, **environment: str) -> list[str]:
    _, said = make("--dry-run", "serve", *variables, **environment)
    return shlex.split(said.splitlines()[-1])[2:]


def test_old_node_is_told_with_its_version(tmp_path: Path) -> None:
    write_program(tmp_path, "node", 'test "$1" = --version && echo v20.18.1 && exit 0', "exit 1")
    code, said = make("check-node", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert code == 2
    expected = "Node.js 20.19, 22.12 or newer is needed to build the page, found v20.18.1"
    assert said.splitlines()[0] == expected


def test_old_python_is_told_with_its_version(tmp_path: Path) -> None:
    pretend = "import sys; sys.version_info = (3, 9); sys.version = '3.9.2 (main)'; exec(sys.argv[1])"
    write_program(tmp_path, "python-old", f'exec python3 -c {shlex.quote(pretend)} "$2"')
    code, said = make("check-python", f"PYTHON={tmp_path}/python-old")
    assert code == 2
    assert said.splitlines()[0] == "Python 3.10 or newer is needed, found 3.9.2: name another with PYTHON="


def test_python_that_is_not_there() -> None:
    code, said = make("check-python", "PYTHON=python-nowhere")
    assert code == 2
    assert said.startswith("Python 3.10 or newer is needed, found no python-nowhere")


@pytest.mark.parametrize("target", ["install", "serve"])
def test_both_are_looked_at_before_anything_is_installed(target: str) -> None:
    _, said = make("--dry-run", "--always-make", target)
    assert 0 <= said.index("sys.version_info") < said.index("process.versions.node") < said.index("pip ")


def test_options_are_passed_to_the_server() -> None:
    options = serve_options("HOST=::1", "PORT=9000", "MODEL=/a b/it's", "SIZE=240x416", "MAX_SESSIONS=2")
    assert options == [
        *("--host", "::1", "--port", "9000", "--model", "/a b/it's"),
        *("--size", "240x416", "--max-sessions", "2"),
    ]


def test_token_is_not_on_the_command_line() -> None:
    assert serve_options("TOKEN=secret") == []


def test_variables_of_the_environment_are_not_taken_for_options() -> None:
    assert serve_options(HOST="x86_64-conda-linux-gnu", MODEL="gpt", TOKEN="another's") == []


SERVE_OPTIONS = sorted(set(inspect.signature(cli.serve).parameters) - {"token"})


@pytest.mark.parametrize("name", SERVE_OPTIONS)
def test_every_option_of_serve_is_a_variable(name: str) -> None:
    assert serve_options(f"{name.upper()}=it") == [f"--{name.replace('_', '-')}", "it"]


def test_variables_are_explained() -> None:
    _, said = make("help")
    for name in (*SERVE_OPTIONS, "token"):
        assert re.search(rf"\b{name.upper()}\b", said), name
