"""Tiny models saved exactly as the released ones are published, in the original and the diffusers layout."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKLHunyuanVideo15
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    ByT5Tokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from support.tiny import TINY
from worldplay.model.config import VAEConfig
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae_keys import published_key
from worldplay.world.released.memory_estimate import Shapes

TRANSFORMER = replace(TINY, text_dim=32, vision_dim=16, byt5_dim=12)
VAE = VAEConfig(
    pixel_patch=1,
    latent_channels=4,
    encoder_channels=(8, 8, 8, 8, 8),
    encoder_layers=1,
    decoder_channels=(8, 8, 8, 8, 8),
    decoder_layers=2,
    spatial_compression=16,
    temporal_compression=4,
    scaling_factor=1.03682,
)
SHAPES = Shapes(TRANSFORMER, VAE)
COLOURS = {"white": 0, "black": 1}
FONTS = {"en-Montserrat-Regular": 0, "cn-Song": 1}
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_transformer(folder: Path, name: str = "model.safetensors", seed: int = 0) -> None:
    torch.manual_seed(seed)
    save(WorldPlayTransformer(TRANSFORMER).state_dict(), folder / name)


def save(tensors: dict[str, Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, path)


def shard(folder: Path, stem: str) -> None:
    """Split a single file into two shards with an index."""
    single = folder / f"{stem}.safetensors"
    tensors = load_file(single)
    single.unlink()
    keys = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((keys[::2], keys[1::2]), start=1):
        name = f"{stem}-{number:05}-of-00002.safetensors"
        save({key: tensors[key] for key in part}, folder / name)
        weight_map |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))


def randomise(model: nn.Module) -> None:
    """Library models begin with zeros and ones here and there, which would hide mistakes."""
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.2, generator=generator)


def make_vae() -> AutoencoderKLHunyuanVideo15:
    torch.manual_seed(1)
    vae = AutoencoderKLHunyuanVideo15(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8, 8),
        layers_per_block=1,
        spatial_compression_ratio=16,
        temporal_compression_ratio=4,
        scaling_factor=1.03682,
    )
    return vae.eval()


def make_language_model() -> Qwen2_5_VLForConditionalGeneration:
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 260,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rms_norm_eps": 1e-6,
            "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [2, 3, 3]},
            "bos_token_id": None,
            "eos_token_id": None,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 8,
            "intermediate_size": 8,
            "num_heads": 1,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [0],
        },
        image_token_id=256,
        video_token_id=256,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    randomise(model)
    model.eval()
    return model


def make_language_tokenizer() -> Qwen2Tokenizer:
    vocabulary = {character: index for index, character in enumerate(bytes_to_unicode().values())}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_glyph_encoder() -> T5EncoderModel:
    config = T5Config(
        vocab_size=384 + len(COLOURS) + len(FONTS),
        d_model=12,
        d_kv=4,
        d_ff=16,
        num_layers=2,
        num_heads=3,
        feed_forward_proj="gated-gelu",
    )
    model = T5EncoderModel(config)
    randomise(model)
    model.eval()
    return model


def make_vision_encoder() -> SiglipVisionModel:
    config = SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    model = SiglipVisionModel(config)
    randomise(model)
    model.eval()
    return model


def save_diffusers_layout(root: Path) -> None:
    """As hunyuanvideo-community publishes it."""
    make_vae().save_pretrained(root / "vae")
    make_language_model().model.language_model.save_pretrained(root / "text_encoder")
    make_language_tokenizer().save_pretrained(root / "tokenizer")
    make_glyph_encoder().save_pretrained(root / "text_encoder_2")
    make_glyph_tokenizer().save_pretrained(root / "tokenizer_2")
    save_vision(root)


def save_original_layout(root: Path) -> None:
    """As the repositories that tencent/HunyuanVideo-1.5 names publish their parts."""
    vae = make_vae().state_dict()
    save({published_key(k): t for k, t in vae.items()}, root / "vae/diffusion_pytorch_model.safetensors")
    llm = root / "text_encoder" / "llm"
    make_language_model().save_pretrained(llm)
    restore_published_keys(llm)
    shard(llm, "model")
    make_language_tokenizer().save_pretrained(llm)
    save_glyph_pieces(root / "text_encoder")
    save_vision(root / "vision_encoder" / "siglip")


def restore_published_keys(folder: Path) -> None:
    """Qwen2.5-VL was published as `model.layers...`, `visual...`, `lm_head...`, with a flat configuration."""
    tensors = load_file(folder / "model.safetensors")
    renamed = {
        key.replace("model.language_model.", "model.").replace("model.visual.", "visual."): tensor
        for key, tensor in tensors.items()
    }
    save(renamed, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    text = config.pop("text_config")
    flat = {key: value for key, value in text.items() if key not in ("model_type", "layer_types")}
    flat["rope_scaling"] = {"type": "mrope", "mrope_section": [2, 3, 3]}
    flat["rope_theta"] = flat.pop("rope_parameters")["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config | flat))


def save_glyph_pieces(folder: Path) -> None:
    """google/byt5-small without its weights, and Glyph-SDXL-v2 with its pickle converted."""
    encoder = make_glyph_encoder()
    encoder.config.vocab_size = 384
    encoder.config.save_pretrained(folder / "byt5-small")
    ByT5Tokenizer().save_pretrained(folder / "byt5-small")
    prefix = "module.text_tower."
    weights = {prefix + k: t for k, t in encoder.state_dict().items() if k != "shared.weight"}
    save(weights, folder / "Glyph-SDXL-v2/checkpoints/byt5_model.safetensors")
    assets = folder / "Glyph-SDXL-v2" / "assets"
    assets.mkdir()
    (assets / "color_idx.json").write_text(json.dumps(COLOURS))
    (assets / "multilingual_10-lang_idx.json").write_text(json.dumps(FONTS))


def make_glyph_tokenizer() -> ByT5Tokenizer:
    tokenizer = ByT5Tokenizer()
    tokenizer.add_tokens(["<color-0>", "<color-1>", "<en-font-0>", "<cn-font-1>"], special_tokens=True)
    return tokenizer


def make_image_processor() -> SiglipImageProcessorPil:
    return SiglipImageProcessorPil(size={"height": 28, "width": 28})


def save_vision(root: Path) -> None:
    """The published keys begin with `vision_model.`."""
    folder = root / "image_encoder"
    make_vision_encoder().save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    named = {"vision_model." + key.removeprefix("vision_model."): t for key, t in tensors.items()}
    save(named, folder / "model.safetensors")
    make_image_processor().save_pretrained(root / "feature_extractor")
