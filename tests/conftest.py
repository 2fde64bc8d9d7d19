"""Fixtures that load the embedded world, once, and serve it; and tiny released models on disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from worldplay.world.embedded.load import EMBEDDED, load_embedded
from worldplay.world.world import World


@pytest.fixture(scope="session")
def world() -> World:
    torch.set_num_threads(1)  # two would wait for each other while the browser uses a core
    return load_embedded(EMBEDDED, torch.device("cpu"))


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[str]:
    """Host and port of a server of the embedded world."""
    from support.serving import serving  # here, so that tests of pure code do not import the application

    with serving(world) as address:
        yield address


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Download directories with every variant and the other parts in one layout each; not to be changed."""
    from support import published  # here, so that tests of pure code do not wait for the libraries

    roots = {name: tmp_path_factory.mktemp(name) for name in ("original", "diffusers")}
    published.save_original_layout(roots["original"] / "HunyuanVideo-1.5")
    published.save_diffusers_layout(roots["diffusers"] / "HunyuanVideo-1.5-Diffusers-480p_i2v")
    for root in roots.values():
        for folder in ("ar_distilled_action_model", "ar_model", "ar_rl_model", "bidirectional_model"):
            published.save_transformer(root / "HY-WorldPlay" / folder)
    return roots
