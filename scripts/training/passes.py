"""The transformer's passes over batches of samples: text, context, chunk."""

import torch
from einops import rearrange, repeat
from torch import Tensor

from training.batch import Batch
from training.chunks import CHUNK
from worldplay.model.heads import Heads
from worldplay.model.kv_cache import TextKV
from worldplay.model.prope import Cameras
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.embedded.conditioner import describe


class BatchCache:
    """A cache like the server's, for a whole batch and with gradients: it concatenates.

    One context can serve several chunks, see `fan_out`.
    """

    def __init__(self, text: TextKV, conditions: Tensor) -> None:
        """Each sample's text is a row of a few shared ones, `text` [P, ...]; `conditions` [B] says which."""
        self._text = [
            (k[conditions].repeat_interleave(2, dim=1), v[conditions].repeat_interleave(2, dim=1))
            for k, v in zip(text.keys, text.values, strict=True)
        ]
        self._context = list(self._text)
        self._latest = list(self._text)
        self._num_context = 0

    @property
    def num_context(self) -> int:
        return self._num_context

    def clear_context(self) -> None:
        self._context = list(self._text)
        self._num_context = 0

    def commit_context(self, num_latents: int) -> None:
        self._context = list(self._latest)
        self._num_context = num_latents

    def fan_out(self, copies: int) -> None:
        """Serve so many chunks over each sample's context, as a batch [copies * B]."""
        pattern = "b n l d -> (copies b) n l d"
        self._context = [
            (repeat(k, pattern, copies=copies), repeat(v, pattern, copies=copies)) for k, v in self._context
        ]

    def extend(self, block: int, own: Heads) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, values = own.branches()
        old_keys, old_values = self._context[block]
        all_keys, all_values = torch.cat([old_keys, keys], dim=2), torch.cat([old_values, values], dim=2)
        self._latest[block] = all_keys, all_values
        return queries, all_keys, all_values


def encode_conditions(model: WorldPlayTransformer, images: Tensor, prompts: Tensor) -> TextKV:
    """Run the text pass of start images' latents [P, C, h, w], each with a prompt's states [P, words, D]."""
    inputs = [
        describe(prompt, model.config.byt5_dim, image[None, :, None])
        for image, prompt in zip(images.to(model.dtype), prompts.to(model.dtype), strict=True)
    ]
    vision = [one.vision_states for one in inputs if one.vision_states is not None]
    return model.encode_text(
        torch.cat([one.text_states for one in inputs]),
        torch.cat([one.text_mask for one in inputs]),
        torch.cat([one.byt5_states for one in inputs]),
        torch.cat([one.byt5_mask for one in inputs]),
        torch.cat(vision),
    )


def chunks_as_batch(x: Tensor, batch: Batch) -> Tensor:
    """Bring the chunks of [B, N + 4 K, ...] to [K * B, 4, ...]."""
    return rearrange(x[:, batch.num_context :], "b (k t) ... -> (k b) t ...", t=CHUNK)


def make_cameras(model: WorldPlayTransformer, batch: Batch) -> tuple[Cameras, Cameras]:
    """Prepare the cameras of the context and of the chunks, in the model's dtype."""
    cameras = model.prepare_cameras(batch.viewmats, batch.intrinsics)
    parts = cameras.query, cameras.key_value, cameras.output
    context = Cameras(*(part[:, : batch.num_context] for part in parts))
    return context, Cameras(*(chunks_as_batch(part, batch) for part in parts))


def run_context(
    model: WorldPlayTransformer, batch: Batch, latents: Tensor, cameras: Cameras, cache: BatchCache
) -> None:
    """Fill the cache with a batch's context, `latents` [B, C, N, h, w]; do nothing if N is 0."""
    count = batch.num_context
    if count:
        cond = batch.cond[:, :, :count].to(model.dtype)
        model.encode_context(latents.to(model.dtype), cond, cameras, batch.actions[:, :count], cache)


def predict_velocity(
    model: WorldPlayTransformer,
    batch: Batch,
    noisy: Tensor,
    timesteps: Tensor,
    cameras: Cameras,
    cache: BatchCache,
) -> Tensor:
    """Predict the velocity, float32, of chunks [K * B, C, 4, h, w] at timesteps [K * B]."""
    cond = chunks_as_batch(batch.cond.transpose(1, 2), batch).transpose(1, 2).to(model.dtype)
    actions = chunks_as_batch(batch.actions, batch)
    levels = timesteps[:, None].expand(-1, CHUNK)
    return model.denoise(noisy.to(model.dtype), cond, cameras, actions, levels, cache).float()
