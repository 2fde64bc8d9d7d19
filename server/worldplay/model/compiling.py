"""Compiles the parts of a transformer's blocks, on all ranks that compute it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from worldplay.model.regions import compile_regions

if TYPE_CHECKING:  # it imports what this module needs
    from worldplay.model.transformer import WorldPlayTransformer

MOST_GRAPHS = 32  # of a function: one for every length of context, twice if some layers are in 8 bits


def compile_blocks(model: WorldPlayTransformer, compiler: str) -> None:
    """Compile by a backend of torch.compile, when a shape comes for the first time."""
    with model.ranks.together("compile_blocks", compiler):
        torch._dynamo.config.recompile_limit = MOST_GRAPHS  # of all there are; by default 8
        model.use_regions(compile_regions(compiler))


def stop_compiling(model: WorldPlayTransformer) -> None:
    """Compile no other shapes from now on, because a walk would wait for it: what is new runs as it is."""
    with model.ranks.together("stop_compiling"):
        torch.compiler.set_stance("eager_on_recompile")
