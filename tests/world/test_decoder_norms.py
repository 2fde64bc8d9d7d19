"""Which way to prepare the decoder's convolutions is used."""

import logging

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from support.tape import TapeRecorder
from support.tiny_world import make_world
from worldplay.model.graphs import Graphs
from worldplay.model.vae_stream import TINY, Prepare, _surround
from worldplay.world import decoder_norms
from worldplay.world.decoder_norms import choose_prepare, fuse_norms
from worldplay.world.world import World


def prepare(x: Tensor, gamma: Tensor, past: Tensor) -> Tensor:
    """What the kernel does."""
    normed = F.rms_norm(x.movedim(1, -1), (x.shape[1],), gamma.view(-1), TINY).movedim(-1, 1)
    return _surround(past, F.silu(normed))


def wrongly(x: Tensor, gamma: Tensor, past: Tensor) -> Tensor:
    return 1.1 * prepare(x, gamma, past)


def badly(x: Tensor, gamma: Tensor, past: Tensor) -> Tensor:
    raise NotImplementedError("no kernel for this card\nand more")


def decode(world: World) -> list[Tensor]:
    state = world.vae.new_decoder_state()
    latents = torch.randn(6, 1, 4, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    return [world.vae.decode_latent(latent, state) for latent in latents]


@torch.inference_mode()
def test_pictures_are_the_same() -> None:
    plain, fused, recorded = make_world(), make_world(), make_world()
    for world in (fused, recorded):
        world.vae.use_prepare(prepare)
    recorded.vae.use_graphs(Graphs(TapeRecorder()))
    expected = decode(plain)
    torch.testing.assert_close(decode(fused), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(decode(recorded), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("way", "fused_ms", "message"),
    [
        (prepare, 5.0, "decoder with fused norms: 5.0 ms a latent instead of 10.0"),
        (prepare, 20.0, "decoder without fused norms: 20.0 ms a latent instead of 10.0"),
        (wrongly, 5.0, "decoder without fused norms: differs by "),
        (badly, 5.0, "decoder without fused norms: NotImplementedError: no kernel for this card"),
    ],
)
def test_the_kernel_is_used_if_it_is_right_and_faster(
    way: Prepare,
    fused_ms: float,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    measure, times = decoder_norms._decode, iter([10.0, fused_ms])
    monkeypatch.setattr(decoder_norms, "_decode", lambda world: (measure(world)[0], next(times)))
    world = make_world()
    with caplog.at_level(logging.INFO):
        choose_prepare(world, lambda: way)
    assert [record.message.startswith(message) for record in caplog.records] == [True], caplog.text
    assert "and more" not in caplog.text
    assert world.vae._prepare is (prepare if " with fused" in message else None)


def test_a_kernel_that_cannot_be_loaded_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> Prepare:
        raise ImportError("libcuda.so.1 is missing")

    world = make_world()
    with caplog.at_level(logging.INFO):
        choose_prepare(world, load)
    assert "decoder without fused norms: ImportError: libcuda.so.1 is missing" in caplog.text
    assert world.vae._prepare is None


def test_a_cpu_has_no_kernel() -> None:
    assert fuse_norms(make_world()).vae._prepare is None
