from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from worldplay.model.tiny_decoder import LATENT_CHANNELS, TinyDecoder
from worldplay.model.vae_stream import FeatureCache
from worldplay.world.tiny_decoder_file import load_tiny_decoder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """What the file holds: both halves of the autoencoder, in float16."""
    torch.manual_seed(0)
    weights = {name: tensor.half() for name, tensor in TinyDecoder().state_dict().items()}
    return weights | {"encoder.0.weight": torch.zeros(64, 12, 3, 3, dtype=torch.float16)}


def save(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    path = folder / "taehv1_5.safetensors"
    save_file(weights, path)
    return path


def test_file_fills_the_decoder(tmp_path: Path, published: dict[str, torch.Tensor]) -> None:
    decoder = load_tiny_decoder(save(tmp_path, published), CPU, torch.float32)
    for name, tensor in decoder.state_dict().items():
        assert torch.equal(tensor, published[name].float())


@torch.inference_mode()
def test_channels_lie_last_as_a_gpu_convolves_fastest(
    tmp_path: Path, published: dict[str, torch.Tensor]
) -> None:
    decoder, state = load_tiny_decoder(save(tmp_path, published), CPU, torch.float32), FeatureCache()
    decoder.decode(torch.zeros(1, LATENT_CHANNELS, 1, 2, 3), state)
    assert all(slot.is_contiguous(memory_format=torch.channels_last) for slot in state.slots)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("decoder.22.bias", None, r"lacks decoder\.22\.bias \(1 in all\)"),
        ("decoder.23.bias", (3,), r"has the unexpected decoder\.23\.bias"),
        ("decoder.22.bias", (3,), r"has another shape for decoder\.22\.bias"),
    ],
)
def test_another_file_is_refused(
    tmp_path: Path,
    published: dict[str, torch.Tensor],
    name: str,
    shape: tuple[int, ...] | None,
    said: str,
) -> None:
    weights = {key: tensor for key, tensor in published.items() if key != name}
    if shape is not None:
        weights[name] = torch.zeros(shape)
    path = save(tmp_path, weights)
    with pytest.raises(ValueError, match=rf"taehv1_5\.safetensors {said}"):
        load_tiny_decoder(path, CPU, torch.float32)


def test_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "taehv1_5.pth"
    path.write_bytes(b"pickle")
    with pytest.raises(ValueError, match="is a pickle"):
        load_tiny_decoder(path, CPU, torch.float32)


def test_damaged_file_is_refused(tmp_path: Path, published: dict[str, torch.Tensor]) -> None:
    path = save(tmp_path, published)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is damaged or incomplete"):
        load_tiny_decoder(path, CPU, torch.float32)
