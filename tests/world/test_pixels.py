import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from support.paths import GOLDENS
from worldplay.media.encoder import H264Encoder
from worldplay.model.bt709 import HALF_RANGE, LUMA
from worldplay.model.vae_planes import Planes
from worldplay.world.pictures.fit import fit_image
from worldplay.world.pixels import image_to_pixels, pixels_to_frames, pixels_to_planes, planes_to_bytes

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


def encoders_planes(frames: np.ndarray) -> np.ndarray:
    """The planes that the encoder makes of RGB frames."""
    encoder = H264Encoder(frames.shape[2], frames.shape[1], fps=24)
    return np.stack([encoder._to_yuv(frame).to_ndarray() for frame in frames])


def make_pixels(kind: str, height: int, width: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(3, 3, height, width, generator=random)
    if kind == "noise":
        return noise * 2 - 1
    if kind == "primaries":
        return noise.round() * 2 - 1
    return torch.linspace(-1, 1, 9 * height * width).view(3, 3, height, width)


@pytest.mark.parametrize("kind", ["noise", "primaries", "ramp"])
@pytest.mark.parametrize(("height", "width"), [(48, 80), (96, 160), (16, 32), (480, 832)])
def test_planes_are_those_of_the_encoder(kind: str, height: int, width: int) -> None:
    pixels = make_pixels(kind, height, width)
    ours, theirs = pixels_to_planes(pixels), encoders_planes(pixels_to_frames(pixels))
    assert ours.shape == theirs.shape == (3, 3 * height // 2, width)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_an_encoder_takes_planes() -> None:
    pixels = make_pixels("ramp", 96, 160)
    from_planes, from_frames = H264Encoder(160, 96, fps=24), H264Encoder(160, 96, fps=24)
    frames = pixels_to_frames(pixels)
    assert frames.flags.c_contiguous  # as an encoder reads them
    for planes, frame in zip(encoders_planes(frames), frames, strict=True):
        assert from_planes.encode(planes, key=False) == from_frames.encode(frame, key=False)


def test_planes_of_primaries() -> None:
    colours = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [1, -1, -1]]).T[:, :, None, None].expand(3, 3, 2, 2)
    planes = pixels_to_planes(colours)
    assert planes[:, 0, 0].tolist() == [16, 235, 63]
    assert planes[2, 2].tolist() == [102, 240]


@pytest.mark.parametrize(
    "colour", [(-1, -1, -1), (1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1), (0.3, 0, 0.9)]
)
def test_planes_of_one_colour_are_those_of_its_pixels(colour: tuple[float, float, float]) -> None:
    pixels = torch.tensor(colour)[:, None, None, None].expand(3, 2, 4, 8)
    red, green, blue = pixels[None].unbind(1)
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    chroma = torch.stack([(blue - luma) / 1.8556, (red - luma) / 1.5748], dim=1)[..., ::2, ::2]
    made = planes_to_bytes(Planes((luma + 1) * HALF_RANGE, chroma * HALF_RANGE))
    assert made.shape == (2, 6, 8)
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - pixels_to_planes(pixels)).max() <= 1


def test_planes_lie_as_an_encoder_reads_them() -> None:
    luma = torch.arange(32.0).view(1, 1, 4, 8).mul(255 / 219)
    chroma = torch.arange(16.0).view(1, 2, 1, 2, 4).mul(255 / 224)
    (frame,) = planes_to_bytes(Planes(luma, chroma))
    assert frame[:4].ravel().tolist() == [16 + level for level in range(32)]
    assert frame[4:].ravel().tolist() == [128 + level for level in range(16)]
