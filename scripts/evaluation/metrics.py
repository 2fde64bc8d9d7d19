"""Scores generated frames against true ones: PSNR, SSIM, and two measures that penalise blur."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

Frames = NDArray[np.uint8]  # [F, H, W, 3]

EQUAL_DB = 99.0  # reported for equal pictures, whose PSNR is infinite
_LUMA = torch.tensor([0.299, 0.587, 0.114])
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_GMSD_CONSTANT = 170.0  # as published, for values of 0..255
_PREWITT = torch.tensor([[1.0, 0.0, -1.0]] * 3) / 3
_SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of some frames against the true ones.

    psnr is in dB; ssim is at most 1; gmsd is 0 for equal pictures and grows; sharpness is 1 if the frames
    have as much gradient energy as the truth, less if they are blurred. The last two are of the pictures at
    half their sides, to compare worlds of different sizes.
    """

    psnr: float
    ssim: float
    gmsd: float
    sharpness: float
    half_psnr: float
    half_sharpness: float


MEASURES = tuple(field.name for field in fields(Scores))


def compare(frames: Frames, truth: Frames) -> Scores:
    """Score frames [F, H, W, 3] against as many true ones."""
    ours, theirs = _luma(frames), _luma(truth)
    halves = halve(frames), halve(truth)
    return Scores(
        psnr(frames, truth),
        ssim(ours, theirs),
        gmsd(ours, theirs),
        sharpness(ours, theirs),
        psnr(*halves),
        sharpness(*map(_luma, halves)),
    )


def halve(frames: Frames) -> Frames:
    """Return [F, H, W, 3] at half its sides, rounded down: each pixel is the mean of four."""
    height, width = (side // 2 for side in frames.shape[1:3])
    whole = frames[:, : 2 * height, : 2 * width].astype(np.float32)
    means = rearrange(whole, "f (h two) (w too) c -> f h w (two too) c", two=2, too=2).mean(axis=3)
    halved: Frames = means.round().astype(np.uint8)
    return halved


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Average each measure."""
    return Scores(*(float(np.mean([getattr(score, name) for score in scores])) for name in MEASURES))


def psnr(frames: Frames, truth: Frames) -> float:
    """Return the PSNR in dB of all pixels together; frames are [F, H, W, 3]."""
    assert frames.shape == truth.shape, (frames.shape, truth.shape)
    error = np.square(frames.astype(np.float32) - truth.astype(np.float32)).mean(dtype=np.float64)
    return float(10 * np.log10(255**2 / error)) if error else EQUAL_DB


def ssim(luma: Tensor, truth: Tensor) -> float:
    """Return the structural similarity of [F, 1, H, W] in 0..255, mean over pixels and frames.

    Source: Wang et al. 2004, with its Gaussian window (11 pixels, sigma 1.5), where it lies inside.
    """
    mean_x, mean_y = _smooth(luma), _smooth(truth)
    var_x, var_y = _smooth(luma * luma) - mean_x**2, _smooth(truth * truth) - mean_y**2
    covariance = _smooth(luma * truth) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((similarity / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def gmsd(luma: Tensor, truth: Tensor) -> float:
    """Return the gradient magnitude similarity deviation of [F, 1, H, W] in 0..255, mean over frames.

    It measures how much the similarity of edges varies over the picture. A blurred or misplaced edge lowers
    the similarity at its place, however small its error in brightness.
    Source: Xue et al. 2014 (arXiv 1308.3052): halved, Prewitt gradients.
    """
    ours, theirs = (_gradient(F.avg_pool2d(image, 2), _PREWITT).sqrt() for image in (luma, truth))
    similarity = (2 * ours * theirs + _GMSD_CONSTANT) / (ours**2 + theirs**2 + _GMSD_CONSTANT)
    return float(similarity.flatten(1).std(dim=1).mean())


def sharpness(luma: Tensor, truth: Tensor) -> float:
    """Return the gradient energy (Tenengrad: squared Sobel magnitude) of [F, 1, H, W] over the truth's."""
    ours, theirs = (_gradient(image, _SOBEL).mean() for image in (luma, truth))
    return float(
        (ours + 1) / (theirs + 1)
    )  # 1 is negligible for a picture, but avoids dividing by 0 for flat ones


def _luma(frames: Frames) -> Tensor:
    return rearrange(torch.from_numpy(np.ascontiguousarray(frames)).float() @ _LUMA, "f h w -> f 1 h w")


def _smooth(images: Tensor) -> Tensor:
    """Average with a Gaussian window around every pixel where it lies completely inside."""
    offsets = torch.arange(_SSIM_WINDOW) - _SSIM_WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * _SSIM_SIGMA**2))
    window /= window.sum()
    return F.conv2d(F.conv2d(images, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))


def _gradient(images: Tensor, kernel: Tensor) -> Tensor:
    """Return the squared gradient magnitude; `kernel` is the horizontal one."""
    across, down = (F.conv2d(images, k[None, None]) for k in (kernel, kernel.T))
    return across**2 + down**2
