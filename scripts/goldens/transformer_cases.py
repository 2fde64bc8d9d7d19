"""Runs the cases of the transformer itself: primitives, text, context, denoise, scheduler."""

import re
from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn

from goldens.cases import Case, GoldenError
from goldens.networks import build, text_inputs
from worldplay.model.embedders import sinusoid
from worldplay.model.heads import Heads, rotate
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.prope import prepare_cameras
from worldplay.model.rope import rotation_table
from worldplay.model.scheduler import sigmas, timesteps
from worldplay.model.token_positions import prepare_positions
from worldplay.model.transformer import WorldPlayTransformer

_THETA = 256.0


def run_primitives(case: Case) -> dict[str, Tensor]:
    grid, dims = tuple(case.meta["rope_grid"]), tuple(case.meta["rope_dims"])
    inputs, device = case.placed, case.place.device
    table = rotation_table(dims, grid, case.meta.get("rope_theta", _THETA), device=device)
    q, k, v = (rearrange(inputs[name], "b (t s) n d -> b t s n d", t=grid[0]) for name in ("q", "k", "v"))
    num_heads, width = q.shape[-2:]
    cameras = prepare_cameras(inputs["viewmats"], inputs["Ks"], width, torch.float32)
    positions = prepare_positions(table, cameras)
    heads = torch.stack([k, q, v], dim=-2).flatten(0, 1).flatten(1, 2)
    norms = torch.ones(2, width, device=device)
    positioned = Heads(
        heads, heads, norms, num_heads, positions, positions.with_norms(norms), rotate
    ).branches()
    (q_rope, q_prope), (k_rope, k_prope), (_, v_prope) = (
        rearrange(part, "b (n two) l d -> two b l n d", two=2) for part in positioned
    )
    attended = rearrange(v, "b t s n d -> (b t) (s n) d")
    seen = torch.bmm(torch.cat([attended, attended], dim=-1), positions.output)[..., width:]
    return {
        "rope_cos": table.cos.flatten(0, 2),
        "rope_sin": table.sin.flatten(0, 2),
        "sinusoid": sinusoid(inputs["t"]),
        "q_rope": q_rope,
        "k_rope": k_rope,
        "q_prope": q_prope,
        "k_prope": k_prope,
        "v_prope": v_prope,
        "o_prope": seen.view(v.shape).flatten(1, 2),
    }


def run_scheduler(case: Case) -> dict[str, Tensor]:
    got = {}
    for name in case.outputs:
        match = re.fullmatch(r"(sigmas|timesteps)\.steps(\d+)\.shift([\d.]+)", name)
        if match is None:
            continue
        levels = sigmas(int(match[2]), float(match[3]))
        got[name] = levels if match[1] == "sigmas" else timesteps(levels)
    return got


def run_text(case: Case) -> dict[str, Tensor]:
    model = build(WorldPlayTransformer, case)
    arguments = text_inputs(case.placed, case.meta.get("task"))
    if case.meta.get("timestep_txt", 0) != 0:
        raise GoldenError("the autoregressive text pass is defined at timestep 0 only")
    text = model.encode_text(*arguments)
    timestep = torch.zeros(arguments[0].shape[0], device=model.device)
    got = {"txt_seq": model.text_tokens(*arguments, timestep)}
    for index, (keys, values) in enumerate(zip(text.keys, text.values, strict=True)):
        got[f"k_txt.{index}"], got[f"v_txt.{index}"] = keys, values
    return got


def run_context(case: Case) -> dict[str, Tensor]:
    model, inputs = build(WorldPlayTransformer, case), case.placed
    cache = _cache_with_text(model, case)
    cameras = model.prepare_cameras(inputs["viewmats"], inputs["Ks"])
    model.encode_context(
        inputs["latents"].to(model.dtype),
        inputs["cond"],
        cameras,
        inputs["action"],
        cache,
        case.meta["timestep"],
    )
    got = {}
    for index in range(model.config.blocks):
        got[f"k_vision.{index}"], got[f"v_vision.{index}"] = cache.context(index)
    return got


def run_denoise(case: Case) -> dict[str, Tensor]:
    model, inputs = build(WorldPlayTransformer, case), case.placed
    cache = _cache_with_text(model, case)
    _restore_context(cache, case)
    cameras = model.prepare_cameras(inputs["viewmats"], inputs["Ks"])
    watched: dict[str, nn.Module] = {
        "img_in": model.img_in,
        "time_emb": model.time_in,
        "action_emb": model.action_in,
        **{f"hidden.{index}": block for index, block in enumerate(model.blocks)},
    }
    got: dict[str, Tensor] = {}
    hooks = [module.register_forward_hook(_recorder(got, name)) for name, module in watched.items()]
    timestep = case.meta["timestep"]
    got["noise_pred"] = model.denoise(
        inputs["latents"], inputs["cond"], cameras, inputs["action"], timestep, cache
    )
    for hook in hooks:
        hook.remove()
    return {name: _as_stored(name, value) for name, value in got.items()}


def _recorder(got: dict[str, Tensor], name: str) -> Callable[[nn.Module, object, Tensor], None]:
    def record(module: nn.Module, args: object, output: Tensor) -> None:
        got[name] = output

    return record


def _as_stored(name: str, value: Tensor) -> Tensor:
    """Bring outputs to their stored shape: tokens to [B, T*S, H], embeddings to [T, H]."""
    if name == "img_in" or name.startswith("hidden."):
        return value.flatten(1, 2)
    return value.flatten(0, -2) if name.endswith("_emb") else value


def _cache_with_text(model: WorldPlayTransformer, case: Case) -> KVCache:
    blocks = range(model.config.blocks)
    inputs = case.placed
    text = TextKV([inputs[f"k_txt.{i}"] for i in blocks], [inputs[f"v_txt.{i}"] for i in blocks])
    num_latents, height, width = inputs["latents"].shape[2:]
    max_context = num_latents + case.meta.get("context_latents", 0)
    cache = model.new_cache((height, width), text.length, max_context)
    cache.set_text(text)
    return cache


def _restore_context(cache: KVCache, case: Case) -> None:
    """Put the context's keys and values in the cache; the case, or the one it depends on, stores them."""
    num_context = case.meta["context_latents"]
    cache.commit_context(num_context)
    if num_context == 0:
        return
    stored = {**(case.dependency.outputs if case.dependency else {}), **case.inputs}
    for block in range(case.meta["config"]["blocks"]):
        for part, name in zip(cache.context(block), ("k_vision", "v_vision"), strict=True):
            part.copy_(stored[f"{name}.{block}"])
