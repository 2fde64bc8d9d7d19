"""Fetching a released model from a hub that is a dictionary."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from support.fake_hub import WEIGHTS, FakeHub
from worldplay.commands.download import LOCK, download
from worldplay.hub import files as hub_file
from worldplay.hub.files import HubFile
from worldplay.hub.sources import Source, list_sources
from worldplay.world.released.variants import find_variant

VARIANT = find_variant("ar-distilled")


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


def test_access_is_tried_before_anything_is_fetched(tmp_path: Path) -> None:
    class Gated(FakeHub):
        def check_access(self, source: Source, file: HubFile) -> None:
            if source.repository.startswith("black-forest-labs"):
                raise OSError(f"{source.repository} is gated")

    hub = Gated()
    expected = r"FLUX.1-Redux-dev is gated; run `worldplay download --variant ar-distilled --layout original "
    with pytest.raises(OSError, match=expected):
        download(VARIANT, "original", tmp_path, answer(True), hub)
    assert hub.fetched == []


def test_damaged_file_is_fetched_anew(tmp_path: Path) -> None:
    download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub())
    path = tmp_path / "HY-WorldPlay/ar_distilled_action_model/model.safetensors"
    for damaged in (WEIGHTS[:-1], b"x" * len(WEIGHTS), WEIGHTS[:-1] + b"x"):
        path.write_bytes(damaged)
        hub = FakeHub()
        download(VARIANT, "diffusers", tmp_path, answer(True), hub)
        assert hub.fetched == ["tencent/HY-WorldPlay"]
        assert path.read_bytes() == WEIGHTS


def test_flipped_bit_in_a_large_file_is_found_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_file, "SMALL_BYTES", 10)
    download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub())
    path = tmp_path / "HY-WorldPlay/ar_distilled_action_model/model.safetensors"
    path.write_bytes(WEIGHTS[:-1] + b"x")
    hub = FakeHub()
    download(VARIANT, "diffusers", tmp_path, answer(True), hub)
    assert hub.fetched == []
    download(VARIANT, "diffusers", tmp_path, answer(True), hub, verify=True)
    assert hub.fetched == ["tencent/HY-WorldPlay"]
    assert path.read_bytes() == WEIGHTS


def test_two_downloads_do_not_write_to_the_same_files(tmp_path: Path) -> None:
    hub = FakeHub()
    expected = f"another download into {tmp_path} is running; wait for it, or"
    with FileLock(tmp_path / LOCK), pytest.raises(OSError, match=expected):
        download(VARIANT, "diffusers", tmp_path, answer(True), hub)
    assert hub.fetched == []
    download(VARIANT, "diffusers", tmp_path, answer(True), hub)
    assert hub.fetched


def test_what_is_there_of_a_file_need_not_be_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 * 10**9))
    part = tmp_path / "HY-WorldPlay/ar_distilled_action_model/model.safetensors.part"
    part.parent.mkdir(parents=True)
    with part.open("wb") as file:
        file.truncate(6 * 10**9)
    hub = FakeHub(claimed=8 * 10**9)
    with pytest.raises(OSError, match="nothing was fetched"):
        download(VARIANT, "diffusers", tmp_path, answer(False), hub)
    assert "8.0 GB  2.0 GB to fetch" in capsys.readouterr().out


def test_rests_that_nothing_goes_on_with_are_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan = tmp_path / "HY-WorldPlay/.cache/huggingface/download/ar_model/abc.incomplete"
    orphan.parent.mkdir(parents=True)
    orphan.touch()
    download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub())
    assert f"Deleting {orphan}" in capsys.readouterr().out
    assert not orphan.exists()


def test_rests_stay_where_the_terms_are_not_accepted(tmp_path: Path) -> None:
    rest = tmp_path / "HY-WorldPlay/.cache/huggingface/download/ar_model/abc.incomplete"
    rest.parent.mkdir(parents=True)
    rest.touch()
    with pytest.raises(OSError, match="nothing was fetched"):
        download(VARIANT, "diffusers", tmp_path, answer(False), FakeHub())
    assert rest.exists()


def test_fetched_file_of_the_wrong_size(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"model.safetensors has \d+ bytes instead of 5000; run `worldplay download"
    ):
        download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub(claimed=5000))


def test_fetched_file_that_is_no_safetensors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model.safetensors is not a complete safetensors file; run"):
        download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub(b"<html>404</html>"))


def test_repository_without_the_files(tmp_path: Path) -> None:
    class Empty(FakeHub):
        def list_files(self, source: Source) -> list[HubFile]:
            return []

    with pytest.raises(
        OSError, match=r"tencent/HY-WorldPlay has no file like ar_distilled_action_model/\*.safetensors"
    ):
        download(VARIANT, "diffusers", tmp_path, answer(True), Empty())


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_no_pickle_is_ever_asked_for(layout: str) -> None:
    patterns = [p for source in list_sources(VARIANT, layout) for p in source.patterns]  # type: ignore[arg-type]
    assert all(p.endswith((".safetensors", ".json", ".jinja", ".txt")) for p in patterns)


def test_what_another_download_fetched_meanwhile_is_not_fetched_again(tmp_path: Path) -> None:
    this, other = FakeHub(), FakeHub()

    def agree(question: str) -> bool:
        download(VARIANT, "diffusers", tmp_path, lambda question: True, other)
        return True

    download(VARIANT, "diffusers", tmp_path, agree, this)
    assert (this.fetched, len(other.fetched)) == ([], 2)


def test_complete_download_is_not_locked_where_it_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with FileLock(tmp_path / LOCK):
        download(VARIANT, "diffusers", tmp_path, answer(True), FakeHub())
