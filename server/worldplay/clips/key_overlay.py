"""Draws the keys that move the camera on a clip's frames."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Frames = NDArray[np.uint8]

# A label is 9 * translation + rotation. These are the keys that each of the nine codes stands for.
_MOVES = ("", "w", "s", "d", "a", "wd", "wa", "sd", "sa")
_TURNS = ("", "→", "←", "↑", "↓", "→↑", "→↓", "←↑", "←↓")
# Where each key is, in key widths from the lower left corner: columns to the right, rows upwards.
_KEY_CELLS = {
    "w": (1, 1),
    "a": (0, 0),
    "s": (1, 0),
    "d": (2, 0),
    "↑": (5, 1),
    "←": (4, 0),
    "↓": (5, 0),
    "→": (6, 0),
}
_KEYS_PER_HEIGHT = 10
_LETTER_SIZE = 12  # smaller keys have no letters


def keys_of(label: int) -> set[str]:
    """Return the keys of an action label (0..80)."""
    return {*_MOVES[label // 9], *_TURNS[label % 9]}


def draw_keys(frames: Frames, label: int) -> Frames:
    """Draw all keys on frames [F, H, W, 3] uint8 RGB; the pressed ones are bright."""
    overlay = _draw_overlay(frames.shape[2], frames.shape[1], keys_of(label))
    drawn = []
    for frame in frames:
        picture = Image.fromarray(frame)
        picture.paste(overlay, mask=overlay.getchannel("A"))
        drawn.append(np.asarray(picture))
    return np.stack(drawn)


def _draw_overlay(width: int, height: int, pressed: set[str]) -> Image.Image:
    overlay = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(overlay)
    size = max(4, height // _KEYS_PER_HEIGHT)
    for key, (column, row) in _KEY_CELLS.items():
        left, top = size // 2 + column * size, height - size // 2 - (row + 1) * size
        box = (left, top, left + size - 2, top + size - 2)
        is_pressed = key in pressed
        draw.rectangle(box, fill=(255, 255, 255, 220) if is_pressed else (0, 0, 0, 90))
        if size >= _LETTER_SIZE:
            _write(draw, key, (left + size / 2 - 1, top + size / 2 - 1), size, is_pressed)
    return overlay


def _write(
    draw: ImageDraw.ImageDraw, key: str, centre: tuple[float, float], size: int, is_pressed: bool
) -> None:
    ink = (0, 0, 0, 255) if is_pressed else (255, 255, 255, 200)
    if key.isascii():
        draw.text(centre, key.upper(), fill=ink, font=ImageFont.load_default(size * 0.6), anchor="mm")
        return
    x, y = centre
    reach = size * 0.22
    dx, dy = {"↑": (0, -1), "↓": (0, 1), "←": (-1, 0), "→": (1, 0)}[key]
    tip = (x + dx * reach, y + dy * reach)
    base = [(x - dx * reach + side * dy * reach, y - dy * reach + side * dx * reach) for side in (-1, 1)]
    draw.polygon([tip, *base], fill=ink)
