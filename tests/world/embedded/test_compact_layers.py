"""Linear layers in 8 bits: they compute what they would if their weights had been loaded in full."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from training.compact import compact
from worldplay.world.embedded.compact_layers import CompactLinear, keep_compact
from worldplay.world.embedded.compact_weights import CompactWeights
from worldplay.world.embedded.load import EMBEDDED, load_networks
from worldplay.world.weights import build_empty, fill


def make_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(16, 8), nn.SiLU(), nn.Linear(8, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_in_8_bits_compute_the_same(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "some.safetensors"
    save_file(compact(make_network().state_dict()), path)
    weights = CompactWeights([path])
    network = build_empty(make_network)
    fill(network, weights, dtype, lambda _: torch.device("cpu"))
    x = torch.randn(3, 16, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = network(x)
    keep_compact(network, weights, lambda name: name == "0")
    assert [type(layer) for layer in network] == [CompactLinear, nn.SiLU, nn.Linear]
    torch.testing.assert_close(network(x), expected)
    assert network(x).dtype == dtype


def test_weights_that_are_not_in_8_bits_stay(tmp_path: Path) -> None:
    path, network = tmp_path / "some.safetensors", make_network()
    save_file(network.state_dict(), path)
    keep_compact(network, CompactWeights([path]), lambda name: True)
    assert isinstance(network[0], nn.Linear)


def test_the_embedded_worlds_text_stream_is_in_8_bits() -> None:
    transformer, _ = load_networks(EMBEDDED, torch.device("cpu"))
    blocks = [layer for block in transformer.blocks for layer in block.modules()]
    assert sum(isinstance(layer, CompactLinear) for layer in blocks) == 7 * len(transformer.blocks)
    assert sum(isinstance(layer, nn.Linear) for layer in blocks) == 2 * len(
        transformer.blocks
    )  # the image's MLP
