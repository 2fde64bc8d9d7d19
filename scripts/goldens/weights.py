"""Generates the weights of the golden cases: each parameter from its name, by the manifest's rule."""

import math
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


@cache
def generate(name: str, shape: tuple[int, ...]) -> Tensor:
    """Generate the float32 parameter of a name, in the checkpoint layout. Cases share it: never change it."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode("utf-8"))))
    x = generator.standard_normal(shape, dtype=np.float32)
    if len(shape) > 1 and not name.endswith(".gamma"):
        value = x * np.float32(1 / math.sqrt(math.prod(shape[1:])))
    elif name.endswith(".bias"):
        value = x * np.float32(0.1)
    else:
        value = np.float32(1.0) + x * np.float32(0.1)
    return torch.from_numpy(value)


def fill(module: Network) -> Network:
    """Fill a module, which may be on the meta device; its parameters have the checkpoint's names."""
    state = {name: generate(name, tuple(old.shape)).clone() for name, old in module.state_dict().items()}
    module.load_state_dict(state, strict=True, assign=True)
    return module


def check_rule(checks: Mapping[str, Any]) -> list[str]:
    """Compare generated parameters with the manifest's values. Returns: what differs."""
    problems = []
    for name, check in checks.items():
        first = generate(name, tuple(check["shape"])).flatten()[: len(check["first"])].tolist()
        if first != check["first"]:
            problems.append(f"{name}: expected {check['first']}, generated {first}")
    return problems
