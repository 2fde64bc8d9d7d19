"""Published files: single, sharded, damaged, half-downloaded, of another model."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from support.published import TRANSFORMER, save, save_transformer, shard
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.weights import build_empty, fill, find_weights

REMEDY = "run `worldplay download`"
CPU = torch.device("cpu")


def load(folder: Path) -> WorldPlayTransformer:
    model = build_empty(lambda: WorldPlayTransformer(TRANSFORMER))
    fill(model, find_weights(folder, REMEDY), torch.float32, lambda _: CPU)
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
    weights = find_weights(tmp_path, REMEDY)
    key = "img_in.proj.weight"
    assert weights.read(key).data_ptr() != 0
    assert not load(tmp_path).img_in.proj.weight.is_meta


def test_parameters_take_the_asked_type(tmp_path: Path) -> None:
    save({"weight": torch.ones(2, 2), "bias": torch.ones(2)}, tmp_path / "model.safetensors")
    linear = build_empty(lambda: nn.Linear(2, 2))
    fill(linear, find_weights(tmp_path, REMEDY), torch.bfloat16, lambda _: CPU)
    assert (linear.weight.dtype, linear.weight.requires_grad) == (torch.bfloat16, False)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"ar_model is missing: expected model.safetensors or diff.*; run"):
        load(tmp_path / "ar_model")


@pytest.mark.parametrize(
    "left", ["ar_model/model.safetensors.part", ".cache/huggingface/download/ar_model/abc.def.incomplete"]
)
def test_unfinished_download(tmp_path: Path, left: str) -> None:
    (tmp_path / left).parent.mkdir(parents=True)
    (tmp_path / left).touch()
    with pytest.raises(
        OSError, match=r"the download into .*/ar_model has not been finished; run `worldplay download`$"
    ):
        load(tmp_path / "ar_model")


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 2000, -1])
def test_truncated_file(tmp_path: Path, kept: int) -> None:
    save_transformer(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged or incomplete \(.*\); run"):
        load(tmp_path)


def test_git_lfs_pointer(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17116800000\n"
    (tmp_path / "model.safetensors").write_text(pointer)
    with pytest.raises(ValueError, match=r"model.safetensors is a Git LFS pointer .*; run"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickle(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({}))
    with pytest.raises(OSError, match=f"{name} is a pickle, .* only safetensors are read; run"):
        load(tmp_path)


def test_missing_shard(tmp_path: Path) -> None:
    save_transformer(tmp_path)
    shard(tmp_path, "model")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(OSError, match=r"00002-of-00002.safetensors is missing \(1 of 2 shards .*\); run"):
        load(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors.part").touch()
    with pytest.raises(OSError, match=r"00002-of-00002.safetensors is not finished \(1 of 2 .*\); run"):
        load(tmp_path)


def test_stale_shard_does_not_win_over_the_index(tmp_path: Path) -> None:
    save_transformer(tmp_path)
    shard(tmp_path, "model")
    first, second = sorted(tmp_path.glob("*.safetensors"))
    key = min(load_file(first))
    right = load_file(first)[key]
    save(load_file(second) | {key: right + 1}, second)
    assert torch.equal(load(tmp_path).state_dict()[key], right)


def test_shard_without_a_key_that_its_index_names(tmp_path: Path) -> None:
    save_transformer(tmp_path)
    shard(tmp_path, "model")
    first, second = sorted(tmp_path.glob("*.safetensors"))
    key = min(load_file(first))
    save(load_file(second) | {key: load_file(first)[key]}, second)
    save({name: tensor for name, tensor in load_file(first).items() if name != key}, first)
    expected = rf"model.safetensors.index.json says that {key} is in {first.name}, which lacks it; run"
    with pytest.raises(ValueError, match=expected):
        load(tmp_path)


def test_damaged_file_beside_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    save_transformer(tmp_path, "diffusion_pytorch_model.safetensors")
    assert find_weights(tmp_path, REMEDY).files == [tmp_path / "diffusion_pytorch_model.safetensors"]
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"damaged, too")
    with pytest.raises(ValueError, match=r"/model.safetensors is damaged or incomplete"):
        find_weights(tmp_path, REMEDY)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": "../x.pt"}}'],
)
def test_damaged_index(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match=r"index.json is not an index of shards; run"):
        load(tmp_path)


def test_first_five_missing_keys(tmp_path: Path) -> None:
    model = WorldPlayTransformer(TRANSFORMER)
    base = {k: t for k, t in model.state_dict().items() if "action_in" not in k and "prope" not in k}
    save(base, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"model.safetensors lacks action_in.mlp.0.bias, .* \(8 in all\); run"
    ) as e:
        load(tmp_path)
    assert str(e.value).count(", ") == 4


def test_first_five_unexpected_keys(tmp_path: Path) -> None:
    state = WorldPlayTransformer(TRANSFORMER).state_dict()
    extra = {f"blocks.{number}.modulation": torch.zeros(1) for number in range(7)}
    save(state | extra, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"has the unexpected blocks.0.modulation, .* \(7 in all\); run"):
        load(tmp_path)


def test_wrong_shape_in_a_shard(tmp_path: Path) -> None:
    state = WorldPlayTransformer(TRANSFORMER).state_dict()
    save(state | {"img_in.proj.bias": torch.zeros(3)}, tmp_path / "model.safetensors")
    shard(tmp_path, "model")
    with pytest.raises(ValueError, match=r"has another shape for img_in.proj.bias \(1 in all\); run"):
        load(tmp_path)


def test_numbers_without_their_scales(tmp_path: Path) -> None:
    state = WorldPlayTransformer(TRANSFORMER).state_dict()
    state["img_in.proj.bias"] = state["img_in.proj.bias"].to(torch.float8_e4m3fn)
    save(state, tmp_path / "model.safetensors")
    expected = r"stores F8_E4M3 in img_in.proj.bias \(1 in all\), and only float32, float16 and bf.*; run"
    with pytest.raises(ValueError, match=expected):
        load(tmp_path)
