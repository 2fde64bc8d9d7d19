import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from support.paths import GOLDENS
from worldplay.world.pictures.fit import bucket_size, fit_image, siglip_crop

GOLDEN = load_file(GOLDENS / "cond.safetensors")


@pytest.mark.parametrize("name", ["exact", "odd", "tall", "up", "wide"])
def test_siglip_crop_matches_golden_at_its_size(name: str) -> None:
    fitted = np.asarray(fit_image(Image.fromarray(GOLDEN[f"in.image_u8.{name}"]), 80, 48)).astype(int)
    assert np.abs(fitted - GOLDEN[f"out.siglip_crop.{name}"]).max() <= 2


def test_siglip_crop_has_the_size_of_the_images_own_bucket() -> None:
    assert siglip_crop(Image.new("RGB", (96, 54))).size == (848, 480)


@pytest.mark.parametrize(
    ("size", "bucket"),
    list(zip(GOLDEN["in.sizes_wh"].tolist(), GOLDEN["out.bucket_hw"].tolist(), strict=True)),
)
def test_bucket_matches_golden(size: list[int], bucket: list[int]) -> None:
    assert bucket_size(*size) == tuple(bucket)


def test_fit_image_keeps_the_middle() -> None:
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    assert fit_image(image, 60, 60).crop((4, 0, 56, 60)).getcolors() == [(52 * 60, (0, 0, 255))]
