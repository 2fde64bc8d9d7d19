"""The quick check against files that are damaged: what it finds, and what only loading finds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from support.published import SHAPES, save, shard
from worldplay.world.released.load import ReleasedConfig, check_released
from worldplay.world.released.quick_check import check_files
from worldplay.world.released.variants import VARIANTS, find_variant

DISTILLED = find_variant("ar-distilled")
ORIGINAL = "HunyuanVideo-1.5"
DIFFUSERS = "HunyuanVideo-1.5-Diffusers-480p_i2v"
ACTION = "HY-WorldPlay/ar_distilled_action_model"


def quick(root: Path) -> str | None:
    return message(lambda: check_files(root, DISTILLED, SHAPES))


def thorough(root: Path) -> str | None:
    return message(lambda: check_released(ReleasedConfig(DISTILLED, (32, 64), shapes=SHAPES), root))


def message(check: Callable[[], None]) -> str | None:
    try:
        check()
    except (OSError, ValueError) as error:
        return str(error)
    return None


@pytest.fixture
def copies(layouts: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The layouts, to be damaged."""
    return {name: Path(shutil.copytree(root, tmp_path / name)) for name, root in layouts.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_whole_models(layouts: dict[str, Path], variant: str) -> None:
    for root in layouts.values():
        check_files(root, find_variant(variant), SHAPES)


def test_model_whose_weights_are_sharded(copies: dict[str, Path]) -> None:
    shard(copies["diffusers"] / ACTION, "model")
    assert quick(copies["diffusers"]) is None
    (copies["diffusers"] / ACTION / "model-00002-of-00002.safetensors").unlink()
    assert "(1 of 2 shards are not there); run `worldplay download" in str(quick(copies["diffusers"]))


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("diffusers", f"{ACTION}/model.safetensors"),
        ("diffusers", f"{DIFFUSERS}/vae/diffusion_pytorch_model.safetensors"),
        ("diffusers", f"{DIFFUSERS}/text_encoder/config.json"),
        ("diffusers", f"{DIFFUSERS}/text_encoder/model.safetensors"),
        ("diffusers", f"{DIFFUSERS}/tokenizer/tokenizer.json"),
        ("diffusers", f"{DIFFUSERS}/text_encoder_2/config.json"),
        ("diffusers", f"{DIFFUSERS}/text_encoder_2/model.safetensors"),
        ("diffusers", f"{DIFFUSERS}/tokenizer_2/tokenizer_config.json"),
        ("diffusers", f"{DIFFUSERS}/image_encoder/config.json"),
        ("diffusers", f"{DIFFUSERS}/image_encoder/model.safetensors"),
        ("diffusers", f"{DIFFUSERS}/feature_extractor/preprocessor_config.json"),
        ("original", f"{ORIGINAL}/vae/diffusion_pytorch_model.safetensors"),
        ("original", f"{ORIGINAL}/text_encoder/llm/model.safetensors.index.json"),
        ("original", f"{ORIGINAL}/text_encoder/llm/model-00001-of-00002.safetensors"),
        ("original", f"{ORIGINAL}/text_encoder/Glyph-SDXL-v2/checkpoints/byt5_model.safetensors"),
        ("original", f"{ORIGINAL}/text_encoder/Glyph-SDXL-v2/assets/color_idx.json"),
        ("original", f"{ORIGINAL}/text_encoder/byt5-small/config.json"),
        ("original", f"{ORIGINAL}/vision_encoder/siglip/image_encoder/config.json"),
    ],
)
def test_file_that_is_missing_or_cut_off(copies: dict[str, Path], layout: str, name: str) -> None:
    path = copies[layout] / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut_off = quick(copies[layout])
    assert cut_off is not None
    assert cut_off == thorough(copies[layout])
    path.unlink()
    missing = quick(copies[layout])
    assert missing is not None
    assert missing == thorough(copies[layout])
    for problem in (cut_off, missing):
        assert problem.endswith(f" --weights-dir {copies[layout]}`")


def change(path: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    edit(tensors)
    save(tensors, path)


def narrow(tensors: dict[str, torch.Tensor], key: str) -> None:
    tensors[key] = tensors[key].to(torch.float8_e5m2)


@pytest.mark.parametrize(
    "name", [f"{ACTION}/model.safetensors", f"{DIFFUSERS}/vae/diffusion_pytorch_model.safetensors"]
)
def test_network_of_another_shape(copies: dict[str, Path], name: str) -> None:
    root = copies["diffusers"]
    whole = load_file(root / name)
    key = min(whole)
    for edit, problem in (
        (lambda tensors: tensors.pop(key), f"lacks {key} (1 in all)"),
        (lambda tensors: tensors.update(x=torch.zeros(1)), "has the unexpected x (1 in all)"),
        (lambda tensors: tensors.update({key: torch.zeros(3)}), f"has another shape for {key} (1 in all)"),
        (
            lambda tensors: narrow(tensors, key),
            f"stores F8_E5M2 in {key} (",
        ),
    ):
        save(whole, root / name)
        change(root / name, edit)
        assert problem in str(quick(root))
        assert quick(root) == thorough(root)


@pytest.mark.parametrize(
    ("name", "key", "axis"),
    [
        ("text_encoder", "embed_tokens.weight", 1),
        ("text_encoder_2", "shared.weight", 1),
        ("image_encoder", "vision_model.embeddings.patch_embedding.weight", 0),
    ],
)
def test_encoder_of_another_width(copies: dict[str, Path], name: str, key: str, axis: int) -> None:
    path = copies["diffusers"] / DIFFUSERS / name / "model.safetensors"
    width = load_file(path)[key].shape[axis]
    change(path, lambda tensors: tensors.update({key: torch.cat([tensors[key]] * 2, axis)}))
    assert f"holds an encoder of width {2 * width}, expected {width}; run" in str(quick(copies["diffusers"]))
    change(path, lambda tensors: narrow(tensors, key))
    assert f"stores F8_E5M2 in {key} (1 in all)" in str(quick(copies["diffusers"]))
    change(path, lambda tensors: tensors.pop(key))
    assert f"lacks {key}; run" in str(quick(copies["diffusers"]))


def test_what_only_loading_finds(copies: dict[str, Path]) -> None:
    """So the commands that check quickly do not call such a model ready."""
    path = copies["diffusers"] / DIFFUSERS / "image_encoder/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 3}))
    assert quick(copies["diffusers"]) is None
    assert "lacks " in str(thorough(copies["diffusers"]))
