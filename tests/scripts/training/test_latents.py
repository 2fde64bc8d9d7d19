"""Latents on disk: kept as long as they are of the VAE that is there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from support.tiny_world import VAE
from training import latents
from training.latents import encode_walks, fingerprint_vae, prepare_latents
from worldplay.model.vae import StreamingVAE


@pytest.fixture
def vae(monkeypatch: pytest.MonkeyPatch) -> StreamingVAE:
    monkeypatch.setattr(latents, "HEIGHT", 32)
    monkeypatch.setattr(latents, "WIDTH", 48)
    torch.manual_seed(0)
    return StreamingVAE(VAE).eval()


def test_walks_are_encoded_as_one_latent_for_every_four_frames(tmp_path: Path, vae: StreamingVAE) -> None:
    for seed in (7, 8, 9):
        np.save(tmp_path / f"{seed}.npy", np.full((9, 32, 48, 3), 9 * seed, np.uint8))
    assert list(encode_walks(vae, tmp_path, tmp_path, [7, 8, 9], at_once=2)) == [7, 8, 9]
    first, *others = (np.load(tmp_path / f"{seed}.npy") for seed in (7, 8, 9))
    assert first.shape[0] == 3
    assert not any(np.allclose(first, other) for other in others)


@pytest.mark.parametrize(("of", "kept"), [(None, True), ("this", True), ("another", False)])
def test_latents_of_another_vae_are_removed(
    tmp_path: Path, vae: StreamingVAE, of: str | None, kept: bool
) -> None:
    np.save(tmp_path / "7.npy", np.zeros(1))
    if of:
        (tmp_path / "vae.sha256").write_text(of)
    prepare_latents(vae, tmp_path, "this")
    assert (tmp_path / "7.npy").exists() == kept
    assert (tmp_path / "vae.sha256").read_text() == "this"
    assert np.load(tmp_path / "views.npy").shape == (3, VAE.latent_channels, 2, 3)


def fingerprint(folder: Path, *, scale: int = 1, encoder: float = 0.0, decoder: float = 0.0) -> str:
    weights = {"encoder.a": torch.full((2,), encoder), "decoder.a": torch.full((2,), decoder)}
    save_file(weights, folder / "vae.safetensors")
    (folder / "vae.json").write_text(str(scale))
    return fingerprint_vae(folder)


def test_latents_are_of_an_encoder_and_a_scale(tmp_path: Path) -> None:
    first = fingerprint(tmp_path)
    assert fingerprint(tmp_path, decoder=1.0) == first
    assert len({first, fingerprint(tmp_path, encoder=1.0), fingerprint(tmp_path, scale=2)}) == 3
