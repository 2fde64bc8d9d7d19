"""Saves pictures of frames in rows and columns with captions, to be judged by eye."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from evaluation.metrics import Frames

_LINE = 12  # pixels for a caption
_MARGIN = 110


def save_strip(path: Path, rows: Mapping[str, Sequence[Frames]], columns: Sequence[str]) -> None:
    """Draw single frames [H, W, 3]: a row for each caption, a column for each heading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = next(iter(rows.values()))[0].shape
    size = (_MARGIN + width * len(columns), _LINE + height * len(rows))
    sheet = np.full((size[1], size[0], 3), 255, np.uint8)
    for y, frames in enumerate(rows.values()):
        for x, frame in enumerate(frames):
            sheet[_LINE + y * height :][:height, _MARGIN + x * width :][:, :width] = frame
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    for x, heading in enumerate(columns):
        draw.text((_MARGIN + x * width + 2, 0), heading, fill="black")
    for y, caption in enumerate(rows):
        draw.text((2, _LINE + y * height), caption, fill="black")
    picture.save(path)
