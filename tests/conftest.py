"""Fixtures that load the embedded world, once, and serve it; and tiny released models on disk.

Libraries and the package are imported in the fixtures: a test of pure code does not wait for PyTorch, nor
does the process that only hands tests to others.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from worldplay.world.world import World

pytest_plugins = ["support.alone"]

# Set before PyTorch is imported, and inherited by the processes that tests start. Tests run in several
# processes side by side, and two threads of each would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest, so that all processes end together.

    They are in the order of their names, which mixes those that drive a browser with others.
    """
    marks: defaultdict[Path, set[str]] = defaultdict(set)
    for item in items:
        marks[item.path].update(mark.name for mark in item.iter_markers())
    last = {path for path, names in marks.items() if not names & {"browser", "slow"}}
    alone = {path for path, names in marks.items() if "alone" in names}
    items.sort(key=lambda item: (item.path in last, item.path not in alone, item.path.name, item.path))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Iterator[None]:
    """Below what was skipped and why, say what was not selected."""
    yield
    if selected := config.option.markexpr:
        terminalreporter.write_line(f"NOT SELECTED: tests other than -m '{selected}'")
    if "not realtime" in selected:
        terminalreporter.write_line("The tests marked realtime judge how fast this machine is: make realtime")


@pytest.fixture(scope="session")
def world() -> "World":
    import torch

    from worldplay.world.embedded.load import EMBEDDED, load_embedded

    return load_embedded(EMBEDDED, torch.device("cpu"))


@pytest.fixture(scope="module")
def server(world: "World") -> Iterator[str]:
    """Host and port of a server of the embedded world."""
    from support.serving import serving

    with serving(world) as address:
        yield address


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny world; not to be changed."""
    from support.tiny_files import save_world

    return str(save_world(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Download directories with every variant and the other parts in one layout each; not to be changed."""
    from support import published

    roots = {name: tmp_path_factory.mktemp(name) for name in ("original", "diffusers")}
    published.save_original_layout(roots["original"] / "HunyuanVideo-1.5")
    published.save_diffusers_layout(roots["diffusers"] / "HunyuanVideo-1.5-Diffusers-480p_i2v")
    for root in roots.values():
        for folder in ("ar_distilled_action_model", "ar_model", "ar_rl_model", "bidirectional_model"):
            published.save_transformer(root / "HY-WorldPlay" / folder)
    return roots
