"""The command that is printed for a damaged or missing file, run as printed, mends it."""

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch

from support.hub_server import Hub, serving_hub
from support.published import SHAPES
from worldplay.commands.download import download
from worldplay.hub import client as hub_module
from worldplay.hub.client import HuggingFace
from worldplay.hub.sources import check_layout
from worldplay.world.released.load import ReleasedConfig, load_released
from worldplay.world.released.variants import find_variant

ORIGINAL = "HunyuanVideo-1.5"
DIFFUSERS = "HunyuanVideo-1.5-Diffusers-480p_i2v"


@pytest.fixture(scope="module")
def repositories(layouts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layouts, as the repositories that they are fetched from."""
    root = tmp_path_factory.mktemp("repositories")
    original = layouts["original"] / ORIGINAL
    for source, repository in (
        (layouts["original"] / "HY-WorldPlay", "tencent/HY-WorldPlay"),
        (original / "vae", "tencent/HunyuanVideo-1.5/vae"),
        (original / "text_encoder/llm", "Qwen/Qwen2.5-VL-7B-Instruct"),
        (original / "vision_encoder/siglip", "black-forest-labs/FLUX.1-Redux-dev"),
        (layouts["diffusers"] / DIFFUSERS, f"hunyuanvideo-community/{DIFFUSERS}"),
    ):
        shutil.copytree(source, root / repository)
    return root


@pytest.fixture
def hub(repositories: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(hub_module, "PAUSE_S", 0.0)
    with serving_hub(repositories) as serving:
        yield serving
        huggingface_hub.close_session()


def load(root: Path) -> str | None:
    """What keeps a model from being loaded."""
    torch.set_num_threads(1)
    variant = find_variant("ar-distilled")
    try:
        load_released(ReleasedConfig(variant, (32, 64), shapes=SHAPES), root, torch.device("cpu"), None)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def run_command_in(sentence: str, hub: Hub) -> None:
    words = shlex.split(sentence.rpartition("run `")[2].removesuffix("`"))
    assert words[:2] == ["worldplay", "download"]
    options = dict(zip(words[2::2], words[3::2], strict=True))
    download(
        find_variant(options["--variant"]),
        check_layout(options.get("--layout", "diffusers")),
        Path(options["--weights-dir"]),
        lambda question: True,
        HuggingFace(hub.address),
    )


def test_everything_that_is_missing_is_fetched(tmp_path: Path, hub: Hub) -> None:
    sentence = load(tmp_path)
    assert sentence is not None
    run_command_in(sentence, hub)
    assert load(tmp_path) is None


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("original", f"{ORIGINAL}/vae/diffusion_pytorch_model.safetensors"),
        ("original", f"{ORIGINAL}/text_encoder/llm/tokenizer.json"),
        ("original", "HY-WorldPlay/ar_distilled_action_model/model.safetensors"),
        ("diffusers", f"{DIFFUSERS}/image_encoder/config.json"),
        ("diffusers", "HY-WorldPlay/ar_distilled_action_model/model.safetensors"),
    ],
)
def test_printed_command_mends_a_file(
    tmp_path: Path, layouts: dict[str, Path], hub: Hub, layout: str, name: str
) -> None:
    root = tmp_path / "my weights"
    shutil.copytree(layouts[layout], root)
    (root / name).write_bytes((root / name).read_bytes()[:100])
    sentence = load(root)
    assert sentence is not None
    assert name in sentence
    run_command_in(sentence, hub)
    assert load(root) is None


def test_interrupted_download_is_recognised_and_gone_on_with(tmp_path: Path, hub: Hub) -> None:
    hub.fragile, hub.cuts = "ar_distilled", [100] + [0] * 9
    with pytest.raises(OSError, match=r"fetching ar_dist.* failed .*; what was fetched is kept; run `") as e:
        run_command_in(str(load(tmp_path)), hub)
    sentence = load(tmp_path)
    assert sentence is not None
    assert "ar_distilled_action_model has not been finished; run `" in sentence
    hub.cuts, hub.asked = [], []
    run_command_in(str(e.value), hub)
    assert hub.asked[0] == "ar_distilled_action_model/model.safetensors bytes=100-"
    assert load(tmp_path) is None


@pytest.mark.parametrize("name", ["text_encoder/llm", "vision_encoder/siglip/image_encoder"])
def test_parts_in_the_directory_itself(tmp_path: Path, layouts: dict[str, Path], hub: Hub, name: str) -> None:
    for folder in (layouts["original"] / ORIGINAL, layouts["original"] / "HY-WorldPlay"):
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    assert load(tmp_path) is None
    (tmp_path / name / "config.json").write_text("{")
    run_command_in(str(load(tmp_path)), hub)
    assert load(tmp_path) is None
