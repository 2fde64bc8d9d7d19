"""The embedded world's transformer before training: its shape and its initial weights."""

import math

import torch
from torch import nn

from worldplay.model.attention import MATMUL
from worldplay.model.config import TransformerConfig
from worldplay.model.regions import MLP
from worldplay.model.transformer import WorldPlayTransformer

EMBEDDED_TRANSFORMER = TransformerConfig(
    hidden=256,
    heads=4,
    rope_dims=(16, 24, 24),
    blocks=5,
    latent_channels=32,
    patch_size=(2, 1),
    mlp_ratio=2.0,
    text_dim=64,
    vision_dim=32,
    byt5_dim=16,
    byt5_hidden=16,
    refiner_blocks=1,
    rope_theta=256.0,
)


def build_model(config: TransformerConfig) -> WorldPlayTransformer:
    """Build a model with initial weights; its blocks begin as small corrections to their input."""
    torch.manual_seed(0)
    model = WorldPlayTransformer(config, backend=MATMUL)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
            nn.init.zeros_(module.bias)
    for block in model.blocks:
        for linear in (block.img_mod.linear, block.txt_mod.linear):
            nn.init.zeros_(linear.weight)
            linear.bias.data.view(6, -1)[[2, 5]] = 1.0  # both gates
        for linear in (block.img_attn_q, block.img_attn_k):
            # A constant in all queries and keys: after rotation it attends to the same place in other latents
            nn.init.ones_(linear.bias)
        assert isinstance(block.img_mlp, MLP)
        for last in (block.img_attn_proj, block.img_attn_prope_proj, block.img_mlp.fc2):
            nn.init.normal_(last.weight, std=0.2 / math.sqrt(last.in_features * config.blocks))
    _pass_noise_through(model)
    return model


def _pass_noise_through(model: WorldPlayTransformer) -> None:
    """Begin by predicting the noisy latent itself: most of a velocity is noise that must reach the output."""
    for weight in model.final_layer.parameters():
        nn.init.zeros_(weight)
    inputs = model.img_in.proj.weight
    hidden, features = inputs.shape[0], model.final_layer.linear.out_features
    spread = nn.init.orthogonal_(torch.empty(hidden, hidden))
    nn.init.normal_(inputs, std=1 / math.sqrt(features))
    inputs.data.flatten(1)[:, :features] = spread[:, :features]
    # The norm before the output divides by the root mean square of a token, about sqrt(features / hidden).
    model.final_layer.linear.weight.data = spread[:, :features].T * math.sqrt(features / hidden)
