"""Commands that only look answer at once: they do without the libraries that compute."""

import os
from pathlib import Path

import pytest

from support.paths import run_python

SLOW_LIBRARIES = ("torch", "diffusers", "transformers")
LIMIT_S = 8.0  # generous, as the machine may be busy; alone they take a quarter of a second of one core
PROGRAM = """
import sys
from worldplay.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
finally:
    print("loaded", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def run(*arguments: str) -> tuple[str, set[str], float]:
    """What a command says, which packages it imported, and the processor time it took."""
    before = os.times()
    done = run_python("-c", PROGRAM, *arguments)
    after = os.times()
    said, _, loaded = done.stdout.rpartition("loaded ")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return said, set(loaded.split()), spent


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("models",), "hy-worldplay ar-distilled      absent"),
        (("doctor", "--memory", "80"), "Plan for 79.0 GB"),
        (("doctor", "--device", "auto"), "is missing"),
        (("download", "--help"), "--layout"),
        (("--help",), "models"),
    ],
)
def test_command_answers_without_slow_libraries(
    tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    folder = () if arguments[-1] == "--help" else ("--weights-dir", str(tmp_path))
    said, loaded, spent = run(*arguments, *folder)
    assert expected in said
    assert not loaded & set(SLOW_LIBRARIES)
    assert spent < LIMIT_S


def test_files_on_disk_are_looked_at_without_slow_libraries(layouts: dict[str, Path]) -> None:
    said, loaded, _ = run("models", "--weights-dir", str(layouts["diffusers"]))
    assert "model.safetensors lacks " in said  # they are tiny, and not what was published
    assert not loaded & set(SLOW_LIBRARIES)


def test_download_asks_the_hub_without_slow_libraries(tmp_path: Path) -> None:
    program = PROGRAM.replace("import sys", "import sys\nimport worldplay.hub.client as hub", 1).replace(
        "try:", "hub.HuggingFace.list_files = lambda *_: sys.exit(0)\ntry:", 1
    )
    done = run_python("-c", program, "download", "--weights-dir", str(tmp_path))
    assert not set(done.stdout.split()) & set(SLOW_LIBRARIES)


def test_embedded_world_is_loaded_without_libraries_that_it_does_not_need() -> None:
    """They take seconds to import, in every server and rank."""
    script = (
        "import sys, torch\n"
        "from worldplay.world.embedded.load import EMBEDDED, load_embedded\n"
        "load_embedded(EMBEDDED, torch.device('cpu'))\n"
        "print(*{'diffusers', 'transformers', 'torch._dynamo', 'sympy'} & sys.modules.keys())"
    )
    assert run_python("-c", script).stdout.split() == []
