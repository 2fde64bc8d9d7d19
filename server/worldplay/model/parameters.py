"""Lists names and shapes of the networks' parameters without building the networks."""

from collections.abc import Iterator

from worldplay.model.config import TransformerConfig, VAEConfig

Shape = tuple[int, ...]
Named = tuple[str, Shape]

_NUM_FEATURES = 256  # of a timestep or an action label


def transformer_parameters(config: TransformerConfig) -> dict[str, Shape]:
    """Parameters of WorldPlayTransformer, and of the bidirectional model."""
    return dict(_transformer(config))


def is_text_parameter(name: str) -> bool:
    """Return whether only the text pass uses this parameter of a transformer."""
    return name.startswith(("txt_in.", "byt5_in.", "vision_in.")) or ".txt_" in name


def is_encoder_parameter(name: str) -> bool:
    """Return whether only the encoder of an autoencoder uses this parameter."""
    return name.startswith("encoder.")


def vae_parameters(config: VAEConfig) -> dict[str, Shape]:
    """Parameters of StreamingVAE."""
    colours = 3 * config.pixel_patch**2
    return dict([*_encoder("encoder", config, colours), *_decoder("decoder", config, colours)])


def _transformer(config: TransformerConfig) -> Iterator[Named]:
    hidden, channels = config.hidden, config.latent_channels
    yield "img_in.proj.weight", (hidden, 2 * channels + 1, 1, *config.patch_size)
    yield "img_in.proj.bias", (hidden,)
    yield from _scalar_embedder("time_in", hidden)
    yield from _scalar_embedder("action_in", hidden)
    yield from _token_refiner("txt_in", config)
    yield from _norm("byt5_in.layernorm", config.byt5_dim)
    yield from _linear("byt5_in.fc1", config.byt5_dim, config.byt5_hidden)
    yield from _linear("byt5_in.fc2", config.byt5_hidden, config.byt5_hidden)
    yield from _linear("byt5_in.fc3", config.byt5_hidden, hidden)
    yield from _norm("vision_in.proj.0", config.vision_dim)
    yield from _linear("vision_in.proj.1", config.vision_dim, config.vision_dim)
    yield from _linear("vision_in.proj.3", config.vision_dim, hidden)
    yield from _norm("vision_in.proj.4", hidden)
    yield "cond_type_embedding.weight", (3, hidden)
    for index in range(config.blocks):
        yield from _stream(f"double_blocks.{index}.img", config)
        yield from _linear(f"double_blocks.{index}.img_attn_prope_proj", hidden, hidden)
        yield from _stream(f"double_blocks.{index}.txt", config)
    yield from _linear("final_layer.adaLN_modulation.1", hidden, 2 * hidden)
    yield from _linear("final_layer.linear", hidden, config.patch_area * channels)


def _linear(name: str, inputs: int, outputs: int) -> Iterator[Named]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[Named]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _scalar_embedder(name: str, hidden: int) -> Iterator[Named]:
    yield from _linear(f"{name}.mlp.0", _NUM_FEATURES, hidden)
    yield from _linear(f"{name}.mlp.2", hidden, hidden)


def _mlp(name: str, config: TransformerConfig) -> Iterator[Named]:
    width = int(config.hidden * config.mlp_ratio)
    yield from _linear(f"{name}.fc1", config.hidden, width)
    yield from _linear(f"{name}.fc2", width, config.hidden)


def _token_refiner(name: str, config: TransformerConfig) -> Iterator[Named]:
    hidden = config.hidden
    yield from _linear(f"{name}.input_embedder", config.text_dim, hidden)
    yield from _scalar_embedder(f"{name}.t_embedder", hidden)
    yield from _linear(f"{name}.c_embedder.linear_1", config.text_dim, hidden)
    yield from _linear(f"{name}.c_embedder.linear_2", hidden, hidden)
    for index in range(config.refiner_blocks):
        block = f"{name}.individual_token_refiner.blocks.{index}"
        yield from _norm(f"{block}.norm1", hidden)
        yield from _linear(f"{block}.self_attn_qkv", hidden, 3 * hidden)
        yield from _linear(f"{block}.self_attn_proj", hidden, hidden)
        yield from _norm(f"{block}.norm2", hidden)
        yield from _mlp(f"{block}.mlp", config)
        yield from _linear(f"{block}.adaLN_modulation.1", hidden, 2 * hidden)


def _stream(name: str, config: TransformerConfig) -> Iterator[Named]:
    """One stream of a block; the image stream has one more projection."""
    hidden = config.hidden
    yield from _linear(f"{name}_mod.linear", hidden, 6 * hidden)
    for part in ("q", "k", "v", "proj"):
        yield from _linear(f"{name}_attn_{part}", hidden, hidden)
    for part in ("q", "k"):
        yield f"{name}_attn_{part}_norm.weight", (config.head_dim,)
    yield from _mlp(f"{name}_mlp", config)


def _encoder(name: str, config: VAEConfig, colours: int) -> Iterator[Named]:
    channels = config.encoder_channels
    halves_time_from = config.spatial_compression // config.temporal_compression
    yield from _causal_conv(f"{name}.conv_in", colours, channels[0])
    for level, (here, following) in enumerate(zip(channels, (*channels[1:], None), strict=True)):
        block = f"{name}.down_blocks.{level}"
        yield from _residuals(f"{block}.resnets", here, config.encoder_layers)
        if following is not None:
            folded = following // (8 if 2**level >= halves_time_from else 4)
            yield from _causal_conv(f"{block}.downsamplers.0.conv", here, folded)
    yield from _middle(f"{name}.mid_block", channels[-1])
    yield _gamma(f"{name}.norm_out", channels[-1])
    yield from _causal_conv(f"{name}.conv_out", channels[-1], 2 * config.latent_channels)


def _decoder(name: str, config: VAEConfig, colours: int) -> Iterator[Named]:
    channels = config.decoder_channels
    late = 1 if config.still else 3  # frames that a convolution sees from the first upsampling on
    yield from _causal_conv(f"{name}.conv_in", config.latent_channels, channels[0])
    yield from _middle(f"{name}.mid_block", channels[0])
    for level, (here, following) in enumerate(zip(channels, (*channels[1:], None), strict=True)):
        block = f"{name}.up_blocks.{level}"
        yield from _residuals(f"{block}.resnets", here, config.decoder_layers, late if level else 3)
        if following is not None:
            unfolded = following * (8 if 2**level < config.temporal_compression else 4)
            yield from _causal_conv(f"{block}.upsamplers.0.conv", here, unfolded, late)
    yield _gamma(f"{name}.norm_out", channels[-1])
    yield from _causal_conv(f"{name}.conv_out", channels[-1], colours, late)


def _conv(name: str, inputs: int, outputs: int, kernel: tuple[int, int, int]) -> Iterator[Named]:
    yield f"{name}.weight", (outputs, inputs, *kernel)
    yield f"{name}.bias", (outputs,)


def _causal_conv(name: str, inputs: int, outputs: int, frames: int = 3) -> Iterator[Named]:
    return _conv(f"{name}.conv", inputs, outputs, (frames, 3, 3))


def _gamma(name: str, channels: int) -> Named:
    return f"{name}.gamma", (channels, 1, 1, 1)


def _residuals(name: str, channels: int, number: int, frames: int = 3) -> Iterator[Named]:
    for index in range(number):
        for part in (1, 2):
            yield _gamma(f"{name}.{index}.norm{part}", channels)
            yield from _causal_conv(f"{name}.{index}.conv{part}", channels, channels, frames)


def _middle(name: str, channels: int) -> Iterator[Named]:
    yield _gamma(f"{name}.attentions.0.norm", channels)
    for part in ("to_q", "to_k", "to_v", "proj_out"):
        yield from _conv(f"{name}.attentions.0.{part}", channels, channels, (1, 1, 1))
    yield from _residuals(f"{name}.resnets", channels, 2)
