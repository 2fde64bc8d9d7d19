"""The bidirectional model: text and image tokens attend to each other; each step computes everything."""

import torch
from torch import Tensor

from worldplay.model.attention import attend
from worldplay.model.blocks import DoubleStreamBlock, modulated_norm
from worldplay.model.conditioning import Conditioning
from worldplay.model.prope import Cameras
from worldplay.model.tokens import Placement, heads_first
from worldplay.model.transformer import WorldPlayTransformer


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
        x, vec, place = self._enter(latents, cond, cameras, actions, timestep, start=0)
        for block in self.blocks:
            x, text = joint_pass(block, x, vec, text, text_vec, place)
        return self._leave(x, vec, latents)


def joint_pass(
    block: DoubleStreamBlock, x: Tensor, vec: Tensor, text: Tensor, text_vec: Tensor, place: Placement
) -> tuple[Tensor, Tensor]:
    """Take image tokens, [B, T, S, H], and text tokens, [B, L, H], through a block with joint attention.

    Args:
        vec: [B, T, H], a conditioning vector per latent; text_vec: [B, H].
    Returns: the image tokens and the text tokens.
    """
    mod, text_mod = block.img_mod(vec), block.txt_mod(text_vec)
    y = modulated_norm(x, mod.shift1, mod.scale1)
    rope_q, prope_q = (heads_first(q) for q in block.image_queries(y, place))
    (rope_k, prope_k), (rope_v, prope_v) = block.image_keys_values(y, place).branches()
    text_q, text_k, text_v = block.text_queries_keys_values(text, text_mod)
    # The text uses only its output of the rope branch, so the prope branch has no text queries.
    rope = attend(_join(rope_q, text_q), _join(rope_k, text_k), _join(rope_v, text_v), block.backend)
    prope = attend(prope_q, _join(prope_k, text_k), _join(prope_v, text_v), block.backend)
    rope, text_seen = torch.split(rope, [rope_q.shape[2], text_q.shape[2]], dim=2)
    x = torch.addcmul(x, mod.gate1, block.image_output(torch.cat([rope, prope]), place.cameras))
    return block.image_mlp(x, mod), block.text_output(text, text_seen, text_mod)


def _join(image: Tensor, text: Tensor) -> Tensor:
    return torch.cat([image, text], dim=2)
