"""Maps the weights of the published autoencoder to diffusers' parameters."""

import re
from collections.abc import Iterable

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
