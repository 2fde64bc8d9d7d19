"""Networks filled from published files: single, sharded, of another model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from support.paths import run_python
from support.published import TRANSFORMER, save, save_transformer, shard
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.weight_files import find_weights
from worldplay.world.weights import build_empty, fill

CPU = torch.device("cpu")


def load(folder: Path) -> WorldPlayTransformer:
    model = build_empty(lambda: WorldPlayTransformer(TRANSFORMER))
    fill(model, find_weights(folder), torch.float32, lambda _: CPU)
    return model


@pytest.mark.parametrize("name", ["model", "diffusion_pytorch_model"])
@pytest.mark.parametrize("sharded", [False, True])
def test_every_published_form_loads(tmp_path: Path, name: str, sharded: bool) -> None:
    save_transformer(tmp_path, f"{name}.safetensors")
    if sharded:
        shard(tmp_path, name)
    torch.manual_seed(0)
    expected = WorldPlayTransformer(TRANSFORMER).state_dict()
    loaded = load(tmp_path).state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)


def test_parameters_share_memory_with_the_file(tmp_path: Path) -> None:
    save_transformer(tmp_path)
    weights = find_weights(tmp_path)
    key = "img_in.proj.weight"
    assert weights.read(key).data_ptr() != 0
    assert not load(tmp_path).img_in.proj.weight.is_meta


def test_parameters_take_the_asked_type(tmp_path: Path) -> None:
    save({"weight": torch.ones(2, 2), "bias": torch.ones(2)}, tmp_path / "model.safetensors")
    linear = build_empty(lambda: nn.Linear(2, 2))
    fill(linear, find_weights(tmp_path), torch.bfloat16, lambda _: CPU)
    assert (linear.weight.dtype, linear.weight.requires_grad) == (torch.bfloat16, False)


def test_stale_shard_does_not_win_over_the_index(tmp_path: Path) -> None:
    save_transformer(tmp_path)
    shard(tmp_path, "model")
    first, second = sorted(tmp_path.glob("*.safetensors"))
    key = min(load_file(first))
    right = load_file(first)[key]
    save(load_file(second) | {key: right + 1}, second)
    assert torch.equal(load(tmp_path).state_dict()[key], right)


def test_first_five_missing_keys(tmp_path: Path) -> None:
    model = WorldPlayTransformer(TRANSFORMER)
    base = {k: t for k, t in model.state_dict().items() if "action_in" not in k and "prope" not in k}
    save(base, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"model.safetensors lacks action_in.mlp.0.bias, .* \(8 in all\)$"
    ) as e:
        load(tmp_path)
    assert str(e.value).count(", ") == 4


def test_first_five_unexpected_keys(tmp_path: Path) -> None:
    state = WorldPlayTransformer(TRANSFORMER).state_dict()
    extra = {f"blocks.{number}.modulation": torch.zeros(1) for number in range(7)}
    save(state | extra, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"has the unexpected blocks.0.modulation, .* \(7 in all\)$"):
        load(tmp_path)


def test_wrong_shape_in_a_shard(tmp_path: Path) -> None:
    state = WorldPlayTransformer(TRANSFORMER).state_dict()
    save(state | {"img_in.proj.bias": torch.zeros(3)}, tmp_path / "model.safetensors")
    shard(tmp_path, "model")
    with pytest.raises(ValueError, match=r"has another shape for img_in.proj.bias \(1 in all\)$"):
        load(tmp_path)


def test_numbers_without_their_scales(tmp_path: Path) -> None:
    state = WorldPlayTransformer(TRANSFORMER).state_dict()
    state["img_in.proj.bias"] = state["img_in.proj.bias"].to(torch.float8_e4m3fn)
    save(state, tmp_path / "model.safetensors")
    expected = r"stores F8_E4M3 in img_in.proj.bias \(1 in all\), and only float32, float16 and bf.*"
    with pytest.raises(ValueError, match=expected):
        load(tmp_path)


def test_small_file_may_be_cut_while_its_network_is_used(tmp_path: Path) -> None:
    """In a process of its own, which would end with SIGBUS."""
    save_transformer(tmp_path)
    lines = (
        "import os, sys, torch, pathlib",
        "from worldplay.model.config import TransformerConfig",
        "from worldplay.model.transformer import WorldPlayTransformer",
        "from worldplay.world.weight_files import find_weights",
        "from worldplay.world.weights import build_empty, fill",
        f"model = build_empty(lambda: WorldPlayTransformer({TRANSFORMER!r}))",
        "weights = find_weights(pathlib.Path(sys.argv[1]))",
        "fill(model, weights, torch.float32, lambda _: torch.device('cpu'))",
        "os.truncate(sys.argv[1] + '/model.safetensors', 0)",
        "print(sum(float(parameter.sum()) for parameter in model.parameters()))",
    )
    run_python("-c", "; ".join(lines), str(tmp_path))
