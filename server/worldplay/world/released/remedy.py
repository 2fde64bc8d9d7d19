"""The command that fetches or mends a released model's files."""

import shlex
from pathlib import Path

from worldplay.world.released.files import DEFAULT_LAYOUT, WEIGHTS_DIR, Layout, find_layout
from worldplay.world.released.variants import Variant


def find_remedy(variant: Variant, root: Path) -> str:
    """What to do about any file below `root` that is missing or damaged.

    The layout is the one that the loader prefers there: files of the other would not be looked at.
    """
    return to_download(variant, find_layout(root), root)


def to_download(variant: Variant, layout: Layout, root: Path) -> str:
    """The command, with what differs from its defaults and the variant always."""
    words = ["worldplay", "download", "--variant", variant.name]
    if layout != DEFAULT_LAYOUT:
        words += ["--layout", layout]
    if root.absolute() != WEIGHTS_DIR:
        words += ["--weights-dir", str(root.absolute())]
    return f"run `{shlex.join(words)}`"
