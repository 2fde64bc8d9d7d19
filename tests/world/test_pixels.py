import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from support.paths import GOLDENS
from worldplay.world.pictures.fit import fit_image
from worldplay.world.pixels import image_to_pixels

GOLDEN = load_file(GOLDENS / "cond.safetensors")


@pytest.mark.parametrize("name", ["exact", "odd", "tall", "up", "wide"])
def test_pixels_match_golden(name: str) -> None:
    fitted = fit_image(Image.fromarray(GOLDEN[f"in.image_u8.{name}"]), 80, 48)
    # Two 8-bit levels: Pillow's Lanczos differs a little between versions.
    np.testing.assert_allclose(
        image_to_pixels(fitted).numpy(), GOLDEN[f"out.pixels.{name}"], rtol=0, atol=0.016
    )


def test_image_to_pixels_covers_minus_one_to_one() -> None:
    pixels = image_to_pixels(Image.fromarray(np.array([[[0, 255, 51]]], dtype=np.uint8)))
    assert pixels.shape == (1, 3, 1, 1, 1)
    assert pixels.dtype == torch.float32
    np.testing.assert_allclose(pixels.flatten(), [-1, 1, -0.6], atol=1e-6)
