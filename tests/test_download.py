"""Fetching a released model from a hub that is a dictionary."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from worldplay.download import HubFile, Source, download, list_sources, verify
from worldplay.world.variants import find_variant

WEIGHTS = save({"a": torch.zeros(4)})
VARIANT = find_variant("ar-distilled")


class FakeHub:
    """Every source has a settings file and a weights file, in its first pattern's folder."""

    def __init__(self, weights: bytes = WEIGHTS, claimed: int | None = None) -> None:
        self.weights = weights
        self.claimed = len(weights) if claimed is None else claimed
        self.fetched: list[str] = []

    def __call__(self, source: Source, target: Path, preview: bool) -> list[HubFile]:
        path = target / Path(source.patterns[0]).parent / "model.safetensors"
        if not preview and not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.weights)
            self.fetched.append(source.repository)
        return [HubFile(str(path.relative_to(target)), self.claimed, path.is_file())]


def answer(reply: bool) -> Callable[[str], bool]:
    def agree(question: str) -> bool:
        assert "outside the EU, the UK and South Korea" in question
        return reply

    return agree


def test_says_what_it_will_fetch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub(claimed=len(WEIGHTS)))
    said = capsys.readouterr().out
    assert "tencent/HY-WorldPlay" in said
    assert "Disk needed: 0.0 GB" in said
    assert "DO NOT APPLY in the\n  European Union, the United Kingdom and South Korea" in said
    assert said.endswith(f"Complete: ar-distilled in {tmp_path}\n")


def test_files_go_where_the_loader_looks(tmp_path: Path) -> None:
    download(VARIANT, "original", tmp_path, answer(True), FakeHub())
    found = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*.safetensors")}
    assert found == {
        "HY-WorldPlay/ar_distilled_action_model",
        "HunyuanVideo-1.5/vae",
        "HunyuanVideo-1.5/text_encoder/llm",
        "HunyuanVideo-1.5/text_encoder_2",
        "HunyuanVideo-1.5/vision_encoder/siglip/image_encoder",
    }


def test_a_no_fetches_nothing(tmp_path: Path) -> None:
    hub = FakeHub()
    with pytest.raises(OSError, match="nothing was fetched: the terms were not accepted"):
        download(VARIANT, "diffusers", tmp_path, answer(False), hub)
    assert hub.fetched == []


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub())
    other = FakeHub()
    download(find_variant("ar-rl"), "diffusers", tmp_path, answer(True), other)
    assert other.fetched == ["tencent/HY-WorldPlay"]


def test_nothing_is_asked_when_all_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub())
    download(VARIANT, "diffusers", tmp_path, answer(False), FakeHub())
    assert capsys.readouterr().out.count("present") == 2


def test_full_disk(tmp_path: Path) -> None:
    hub = FakeHub(claimed=10**17)
    with pytest.raises(OSError, match=r"200000000.0 GB are needed, .* are free at .*--weights-dir"):
        download(VARIANT, "diffusers", tmp_path / "new", answer(True), hub)
    assert hub.fetched == []


def test_fetched_file_of_the_wrong_size(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"model.safetensors has \d+ bytes instead of 5000; delete it and run"
    ):
        download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub(claimed=5000))


def test_fetched_file_that_is_no_safetensors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model.safetensors is damaged or incomplete .* delete it and run"):
        download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub(b"<html>404</html>"))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"vae/config.json has 0 bytes instead of 7"):
        verify([HubFile("vae/config.json", 7, True)], tmp_path)


def test_repository_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(
        OSError, match=r"tencent/HY-WorldPlay has none of ar_distilled_action_model/\*.safetensors"
    ):
        download(VARIANT, "diffusers", tmp_path, answer(True), lambda *_: [])


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_no_pickle_is_ever_asked_for(layout: str) -> None:
    patterns = [p for source in list_sources(VARIANT, layout) for p in source.patterns]  # type: ignore[arg-type]
    assert all(p.endswith((".safetensors", ".json", ".jinja", ".txt")) for p in patterns)
