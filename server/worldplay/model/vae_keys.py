"""Maps the weights of the published autoencoder to diffusers' parameters."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")

_RENAMED = (  # diffusers -> published
    (r"\.(down|up)_blocks\.(\d+)\.resnets\.", r".\1.\2.block."),
    (r"\.(down|up)_blocks\.(\d+)\.\1samplers\.0\.", r".\1.\2.\1sample."),
    (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
    (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
    (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
    (r"\.to_([qkv])\.", r".\1."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
)


def published_key(name: str) -> str:
    """Return the published name of a diffusers parameter."""
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def match_keys(keys: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Map each parameter to its stored key, for weights in either layout."""
    ours = {published_key(name): name for name in names}
    return {ours.get(key, key): key for key in keys}


def from_published_layout(weights: Mapping[str, Value], names: Iterable[str]) -> dict[str, Value]:
    """Rename published weights.

    Args:
        weights: tensors under their published names.
        names: every parameter of the model (`model.state_dict()`).
    Returns: the same tensors under the model's names.
    Raises: ValueError if the two sets do not correspond one to one.
    """
    wanted = {published_key(name): name for name in names}
    if wanted.keys() != weights.keys():
        missing, unknown = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
        raise ValueError(f"autoencoder weights: missing {missing[:3]}, unknown {unknown[:3]}")
    return {name: weights[key] for key, name in wanted.items()}
