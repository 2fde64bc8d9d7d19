"""The measures on pictures whose faults are known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from evaluation.metrics import EQUAL_DB, compare, halve, psnr
from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.views import VIEWPOINTS


@pytest.fixture(scope="module")
def truth() -> NDArray[np.uint8]:
    return render(np.stack([view.c2w for view in VIEWPOINTS]), 96, 160)


def blur(frames: NDArray[np.uint8], radius: float) -> NDArray[np.uint8]:
    kernel = ImageFilter.GaussianBlur(radius)
    return np.stack([np.asarray(Image.fromarray(frame).filter(kernel)) for frame in frames])


def test_equal_pictures(truth: NDArray[np.uint8]) -> None:
    scores = compare(truth, truth)
    assert scores.psnr == EQUAL_DB
    assert scores.ssim == pytest.approx(1, abs=1e-6)
    assert scores.gmsd == 0
    assert scores.sharpness == 1


def test_psnr_of_a_known_error() -> None:
    assert psnr(np.full((1, 4, 4, 3), 110, np.uint8), np.full((1, 4, 4, 3), 100, np.uint8)) == pytest.approx(
        28.131, abs=1e-3
    )


def test_blur_costs_edges_more_than_psnr(truth: NDArray[np.uint8]) -> None:
    """A darker picture and a blurred one, equally near by PSNR: only the blurred one has lost its edges."""
    blurred = blur(truth, 1.0)
    offset = round(255 * 10 ** (-psnr(blurred, truth) / 20))
    darker = (np.maximum(truth.astype(int), offset) - offset).astype(np.uint8)
    of_blurred, of_darker = compare(blurred, truth), compare(darker, truth)
    assert of_blurred.psnr == pytest.approx(of_darker.psnr, abs=0.5)
    assert of_blurred.gmsd > 3 * of_darker.gmsd
    assert of_blurred.sharpness < 0.6
    assert of_darker.sharpness > 0.9


def test_more_blur_is_worse_by_every_measure(truth: NDArray[np.uint8]) -> None:
    little, much = (compare(blur(truth, radius), truth) for radius in (0.5, 2.0))
    assert (little.psnr, little.ssim, little.sharpness) > (much.psnr, much.ssim, much.sharpness)
    assert little.gmsd < much.gmsd


def test_a_shifted_picture_is_as_sharp_but_has_its_edges_elsewhere(truth: NDArray[np.uint8]) -> None:
    scores = compare(truth[:, :, 3:], truth[:, :, :-3])
    assert scores.sharpness == pytest.approx(1, abs=0.05)
    assert scores.gmsd > 0.1
    assert scores.ssim < 0.9


def test_ssim_is_the_published_one() -> None:
    """Against scikit-image 0.26: structural_similarity, gaussian_weights, sigma 1.5, of the population."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 256, (1, 40, 50, 1), np.uint8).repeat(3, axis=3)
    noisy = np.clip(truth + random.normal(0, 40, (1, 40, 50, 1)), 0, 255).astype(np.uint8)
    assert compare(noisy, truth).ssim == pytest.approx(0.890887, abs=1e-5)


def test_half_size_forgives_what_is_smaller_than_its_pixels() -> None:
    truth = np.full((2, 32, 32, 3), 100, np.uint8)
    speckled = truth.copy()
    speckled[:, ::2, ::2], speckled[:, 1::2, 1::2] = 120, 80
    assert np.array_equal(halve(speckled), truth[:, :16, :16])
    scores = compare(speckled, truth)
    assert scores.psnr < 26
    assert (scores.half_psnr, scores.half_sharpness) == (EQUAL_DB, 1)
