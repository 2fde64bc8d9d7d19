"""Recorded decoding: several streams in turns, as if each were alone."""

import gc

import torch
from torch import Tensor

from support.tape import TapeRecorder
from support.tiny_world import VAE
from worldplay.model.graphs import Graphs
from worldplay.model.vae import StreamingVAE


def make_vae() -> StreamingVAE:
    torch.manual_seed(0)
    return StreamingVAE(VAE).requires_grad_(False).eval()


def make_latents(seed: int, count: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, 1, VAE.latent_channels, 1, 2, 3, generator=random))


@torch.inference_mode()
def test_streams_in_turns_are_as_if_alone() -> None:
    plain, graphed, recorder = make_vae(), make_vae(), TapeRecorder()
    graphed.use_graphs(Graphs(recorder))
    streams = [(make_latents(seed, 7), graphed.new_decoder_state()) for seed in range(3)]
    turns = [0, 0, 0, 1, 1, 0, 2, 1, 1, 0, 2, 2, 2, 0, 1, 0, 1, 2, 2]
    pictures: list[list[Tensor]] = [[], [], []]
    for turn in turns:
        latents, state = streams[turn]
        pictures[turn].append(graphed.decode_latent(latents[len(pictures[turn])], state))
    assert recorder.replays > 10
    for (latents, _), seen in zip(streams, pictures, strict=True):
        state = plain.new_decoder_state()
        for latent, pixels in zip(latents, seen, strict=False):
            torch.testing.assert_close(pixels, plain.decode_latent(latent, state), rtol=0, atol=0)


@torch.inference_mode()
def test_a_copy_of_a_stream_goes_its_own_way() -> None:
    vae = make_vae()
    vae.use_graphs(Graphs(TapeRecorder()))
    latents, state = make_latents(0, 5), vae.new_decoder_state()
    for latent in latents[:3]:
        vae.decode_latent(latent, state)
    branch = state.clone()
    expected = vae.decode_latent(latents[3], state)
    vae.decode_latent(latents[4], state)
    assert torch.equal(vae.decode_latent(latents[3], branch), expected)


@torch.inference_mode()
def test_several_latents_at_once_go_on_from_a_recorded_one() -> None:
    plain, graphed = make_vae(), make_vae()
    graphed.use_graphs(Graphs(TapeRecorder()))
    latents = make_latents(0, 6)
    results = []
    for vae in (plain, graphed):
        state = vae.new_decoder_state()
        pieces = [*latents[:3], torch.cat(latents[3:5], dim=2), latents[5]]
        results.append([vae.decode_latent(piece, state) for piece in pieces])
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)


@torch.inference_mode()
def test_recorded_decoding_goes_on_from_a_state_that_was_rebuilt() -> None:
    plain, graphed = make_vae(), make_vae()
    graphed.use_graphs(Graphs(TapeRecorder()))
    latents, state = make_latents(0, 30), plain.new_decoder_state()
    expected = [plain.decode_latent(latent, state) for latent in latents][27:]
    for latent in make_latents(1, 4):
        graphed.decode_latent(latent, other := graphed.new_decoder_state())
        graphed.decode_latent(latent, other)
    rebuilt = graphed.decoder_state_after(torch.cat(latents[27 - graphed.decoder_reach : 27], dim=2))
    pictures = [graphed.decode_latent(latent, rebuilt) for latent in latents[27:]]
    torch.testing.assert_close(pictures, expected, rtol=0, atol=0)


@torch.inference_mode()
def test_pictures_of_another_size() -> None:
    plain, graphed = make_vae(), make_vae()
    graphed.use_graphs(Graphs(TapeRecorder()))
    for height, width in ((2, 3), (4, 3), (2, 3)):
        latents = torch.randn(4, 1, VAE.latent_channels, 1, height, width)
        results = []
        for vae in (plain, graphed):
            state = vae.new_decoder_state()
            results.append([vae.decode_latent(latent, state) for latent in latents])
        torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)


@torch.inference_mode()
def test_a_stream_that_ended_leaves_nothing_behind() -> None:
    vae = make_vae()
    vae.use_graphs(Graphs(TapeRecorder()))
    for _ in range(3):
        state = vae.new_decoder_state()
        for latent in make_latents(0, 3):
            vae.decode_latent(latent, state)
        del state
        gc.collect()
    assert vae._steady is not None
    assert vae._steady._latest is not None
    assert vae._steady._latest() is None
