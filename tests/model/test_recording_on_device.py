"""What a recording on a GPU would refuse: copies from and to the host, on tensors without content."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from support.tiny import GRID, TINY
from worldplay.model.config import RELEASED_VAE
from worldplay.model.graphs import Graphs, Tensors
from worldplay.model.kv_cache import TextKV
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE

META = torch.device("meta")


class OnDevice(TorchDispatchMode):
    """Refuses operations on anything that is not on the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves([args, kwargs, result]):
            assert not isinstance(leaf, Tensor) or leaf.device == META, f"{func} of {leaf.device}"
        self.count += 1
        return result


class OnDeviceRecorder:
    """Records nothing, but watches."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def record(self, function: Callable[[], Tensors], *, alone: bool) -> tuple[Tensors, Callable[[], None]]:
        with OnDevice() as watch:
            outputs = function()
        self.counts.append(watch.count)
        return outputs, lambda: None


@torch.inference_mode()
def test_passes_need_nothing_of_the_host() -> None:
    with META:
        model = WorldPlayTransformer(TINY).eval()
    model.pack()
    recorder = OnDeviceRecorder()
    model.use_graphs(Graphs(recorder))
    cache = model.new_cache(GRID, 8, 8)
    text = torch.empty(1, TINY.heads, 8, TINY.head_dim, device=META)
    held = TextKV([text] * TINY.blocks, [text] * TINY.blocks)
    cache.set_text(held)
    for _ in range(2):
        for count in (4, 8):
            cameras = model.prepare_cameras(torch.empty(1, count, 4, 4), torch.empty(1, count, 3, 3))
            latents, cond = (torch.empty(1, c, count, *GRID, device=META) for c in (4, 5))
            model.encode_context(latents, cond, cameras, torch.zeros(count, device=META), cache)
        cameras = model.prepare_cameras(torch.empty(1, 4, 4, 4), torch.empty(1, 4, 3, 3))
        model.denoise(latents[:, :, :4], cond[:, :, :4], cameras, torch.zeros(4, device=META), 625.0, cache)
    assert len(recorder.counts) == 4, "two context passes, what steps share, a step"
    assert min(recorder.counts) > 10


@torch.inference_mode()
def test_decoding_needs_nothing_of_the_host() -> None:
    with META:
        vae = StreamingVAE(RELEASED_VAE).half().eval()
    recorder = OnDeviceRecorder()
    vae.use_graphs(Graphs(recorder))
    state = vae.new_decoder_state()
    for _ in range(4):
        vae.decode_latent(torch.empty(1, RELEASED_VAE.latent_channels, 1, 4, 6, device=META), state)
    assert len(recorder.counts) == 1
