"""The bidirectional model: text and image tokens attend to each other; each step computes everything."""

import torch
from torch import Tensor

from worldplay.model.attention import attend
from worldplay.model.blocks import DoubleStreamBlock
from worldplay.model.conditioning import Conditioning
from worldplay.model.prope import Cameras
from worldplay.model.regions import Modulation
from worldplay.model.token_positions import TokenPositions
from worldplay.model.transformer import WorldPlayTransformer

_QKV = tuple[Tensor, Tensor, Tensor]


class BidirectionalTransformer(WorldPlayTransformer):
    """The same parameters as the autoregressive model's, used without causality and without a cache."""

    def forward(
        self,
        latents: Tensor,
        cond: Tensor,
        cameras: Cameras,
        actions: Tensor,
        timestep: Tensor,
        prompt: Conditioning,
        text_timestep: Tensor,
    ) -> Tensor:
        """Predict the velocity of all latents, both context and chunk.

        Args: as WorldPlayTransformer.denoise, with actions and timestep [B, T]; text_timestep is [B].
        Returns: [B, C, T, h, w], in the model's dtype.
        """
        # Each sample runs alone, without its invalid text tokens, so that attention needs no mask.
        velocities = [
            self._forward_sample(
                latents[index : index + 1],
                cond[index : index + 1],
                cameras.sample(index),
                actions[index : index + 1],
                timestep[index : index + 1],
                prompt.sample(index),
                text_timestep[index : index + 1],
            )
            for index in range(latents.shape[0])
        ]
        return torch.cat(velocities)

    def _forward_sample(
        self,
        latents: Tensor,
        cond: Tensor,
        cameras: Cameras,
        actions: Tensor,
        timestep: Tensor,
        prompt: Conditioning,
        text_timestep: Tensor,
    ) -> Tensor:
        text = self.text_tokens(
            prompt.text_states,
            prompt.text_mask,
            prompt.byt5_states,
            prompt.byt5_mask,
            prompt.vision_states,
            text_timestep,
        )
        text_vec = self.time_in(text_timestep)
        x, mods = self._enter(latents, cond), self._modulate(actions, timestep)
        positions = self.positions_of(cameras, latents.shape[2:], start=0)
        for block, mod in zip(self.blocks, mods.blocks, strict=True):
            x, text = joint_pass(block, x, mod, text, text_vec, positions)
        return self._leave(x, mods.last, latents)


def joint_pass(
    block: DoubleStreamBlock,
    x: Tensor,
    mod: Modulation,
    text: Tensor,
    text_vec: Tensor,
    positions: TokenPositions,
) -> tuple[Tensor, Tensor]:
    """Take image tokens, [B, T, S, H], and text tokens, [B, L, H], through a block with joint attention.

    Args: text_vec: [B, H].
    Returns: the image tokens and the text tokens.
    """
    text_mod, weights = block.txt_mod(text_vec), block.projections()
    normed = positions.with_norms(weights.norms)
    image = block.image_heads(x, mod, weights, positions, normed).branches()
    seen, text_seen = _attend_jointly(image, block.text_queries_keys_values(text, text_mod), block.backend)
    del image  # its memory is needed
    x = block.image_update(x, mod, weights, seen, positions.output)
    return x, block.text_output(text, text_seen, text_mod)


def _attend_jointly(image: _QKV, text: _QKV, backend: str) -> tuple[Tensor, Tensor]:
    """Attend from image, [B, 2n, L, d] each, and text, [B, n, L', d] each, to both.

    Returns: what the image and the text see, with the heads of their queries.
    """
    (rope_q, prope_q), (rope_k, prope_k), (rope_v, prope_v) = (_unbind(part) for part in image)
    text_q, text_k, text_v = text
    # The text uses only its output of the rope branch, so the prope branch has no text queries.
    rope = attend(_join(rope_q, text_q), _join(rope_k, text_k), _join(rope_v, text_v), backend)
    prope = attend(prope_q, _join(prope_k, text_k), _join(prope_v, text_v), backend)
    rope, text_seen = torch.split(rope, [rope_q.shape[2], text_q.shape[2]], dim=2)
    return torch.stack([rope, prope], dim=2).flatten(1, 2), text_seen


def _unbind(heads: Tensor) -> tuple[Tensor, Tensor]:
    """Separate the branches of heads, [B, 2n, L, d]."""
    rope, prope = heads.unflatten(1, (-1, 2)).unbind(2)
    return rope, prope


def _join(image: Tensor, text: Tensor) -> Tensor:
    return torch.cat([image, text], dim=2)
