"""Published files: whole, damaged, half-downloaded, refused."""

import pickle
from pathlib import Path

import pytest
from safetensors.torch import load_file

from support.published import save, save_transformer, shard
from worldplay.world.weight_files import find_weights


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"ar_model is missing: expected model.safetensors or diff.*"):
        find_weights(tmp_path / "ar_model")


@pytest.mark.parametrize(
    "left", ["ar_model/model.safetensors.part", ".cache/huggingface/download/ar_model/abc.def.incomplete"]
)
def test_unfinished_download(tmp_path: Path, left: str) -> None:
    (tmp_path / left).parent.mkdir(parents=True)
    (tmp_path / left).touch()
    with pytest.raises(OSError, match=r"the download into .*/ar_model has not been finished$"):
        find_weights(tmp_path / "ar_model")


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 2000, -1])
def test_truncated_file(tmp_path: Path, kept: int) -> None:
    save_transformer(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged or incomplete \(.*\)$"):
        find_weights(tmp_path)


def test_git_lfs_pointer(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17116800000\n"
    (tmp_path / "model.safetensors").write_text(pointer)
    with pytest.raises(ValueError, match=r"model.safetensors is a Git LFS pointer .*"):
        find_weights(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickle(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({}))
    with pytest.raises(OSError, match=f"{name} is a pickle, .* only safetensors are read$"):
        find_weights(tmp_path)


def test_missing_shard(tmp_path: Path) -> None:
    save_transformer(tmp_path)
    shard(tmp_path, "model")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(OSError, match=r"00002-of-00002.safetensors is missing \(1 of 2 shards .*\)$"):
        find_weights(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors.part").touch()
    with pytest.raises(OSError, match=r"00002-of-00002.safetensors is not finished \(1 of 2 .*\)$"):
        find_weights(tmp_path)


def test_shard_without_a_key_that_its_index_names(tmp_path: Path) -> None:
    save_transformer(tmp_path)
    shard(tmp_path, "model")
    first, second = sorted(tmp_path.glob("*.safetensors"))
    key = min(load_file(first))
    save(load_file(second) | {key: load_file(first)[key]}, second)
    save({name: tensor for name, tensor in load_file(first).items() if name != key}, first)
    expected = rf"model.safetensors.index.json says that {key} is in {first.name}, which lacks it$"
    with pytest.raises(ValueError, match=expected):
        find_weights(tmp_path)


def test_damaged_file_beside_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    save_transformer(tmp_path, "diffusion_pytorch_model.safetensors")
    assert find_weights(tmp_path).files == [tmp_path / "diffusion_pytorch_model.safetensors"]
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"damaged, too")
    with pytest.raises(ValueError, match=r"/model.safetensors is damaged or incomplete"):
        find_weights(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *("", "{}", "[]", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": "../x.pt"}}'),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_damaged_index(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match=r"index.json is not an index of shards$"):
        find_weights(tmp_path)
