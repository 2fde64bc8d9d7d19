"""A stranger's snapshot: whatever is wrong with it is said in one sentence, and nothing else happens."""

import gc
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from support.tiny_world import make_world
from support.walks import walk_about
from worldplay.world.snapshot import PromptChange
from worldplay.world.snapshot_file import MAX_PROMPTS, Header, TooLongError, write_snapshot
from worldplay.world.snapshot_reader import read_snapshot

Tensors = dict[str, torch.Tensor]
Change = Callable[[Tensors, dict[str, Any]], object]


@pytest.fixture(scope="module")
def data() -> bytes:
    with torch.inference_mode():
        return write_snapshot(walk_about(make_world()).snapshot())


def changed(data: bytes, change: Change) -> bytes:
    """The file with other tensors or another header."""
    tensors = load(data)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["worldplay"])
    change(tensors, header)
    return save(tensors, {"worldplay": json.dumps(header)})


def put(tensors: Tensors, name: str, index: Any, value: float) -> Tensors:
    tensors[name] = tensors[name].clone()
    tensors[name][index] = value
    return tensors


def test_walk_of_an_earlier_version_has_no_identity(data: bytes) -> None:
    old = read_snapshot(changed(data, lambda t, h: h["beginning"].pop("walk")))
    assert old.beginning is not None
    assert old.beginning.walk == ""


def test_file_is_what_the_library_would_write(data: bytes) -> None:
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    assert data == save(load(data), metadata)


def test_files_of_other_lengths_leave_nothing_in_memory() -> None:
    """The library keeps two types for each new size of a tensor, for ever."""
    with torch.inference_mode():
        snapshot = walk_about(make_world()).snapshot()
    write_snapshot(snapshot)
    before = count_types()
    for length in range(100, 110):
        write_snapshot(replace(snapshot, labels=np.zeros(length, np.int64)))
    assert count_types() == before


def count_types() -> int:
    gc.collect()
    return sum(issubclass(type(each), type) for each in gc.get_objects())


WRONG: dict[str, tuple[Change, str]] = {
    "latents that are not finite": (
        lambda t, h: put(t, "latents", (3, 0, 0, 0), float("nan")),
        "latents: expected finite numbers",
    ),
    "latents that are infinite": (
        lambda t, h: put(t, "latents", (3, 0, 0, 0), float("-inf")),
        "latents: expected finite numbers",
    ),
    "latents of another number": (
        lambda t, h: t.update(latents=t["latents"][:8]),
        r"latents: expected floats of shape \[12, C, h, w\], got F32 \[8",
    ),
    "latents of another type": (
        lambda t, h: t.update(latents=t["latents"].to(torch.int64)),
        "latents: expected floats",
    ),
    "poses that shear": (lambda t, h: put(t, "c2w", (2, 0, 1), 0.5), "c2w: .*orthonormal"),
    "poses that mirror": (lambda t, h: put(t, "c2w", (0, 0, 0), -1.0), "c2w: .*reflection"),
    "poses that are far away": (lambda t, h: put(t, "c2w", (1, 0, 3), 1e9), "c2w: .*within 10000"),
    "poses that are not finite": (
        lambda t, h: put(t, "c2w", (1, 0, 3), float("inf")),
        "c2w: expected finite",
    ),
    "fewer poses": (
        lambda t, h: t.update(labels=t["labels"][:9]),
        r"labels: expected I64 \[12\], got I64 \[9\]",
    ),
    "labels that nobody knows": (
        lambda t, h: put(t, "labels", 3, 81),
        "labels: expected numbers of 0 to 80, got 81",
    ),
    "a lens that no camera has": (
        lambda t, h: put(t, "intrinsics", (1, 0, 0), 0.0),
        "intrinsics: expected intrinsics",
    ),
    "a motion that is too large": (lambda t, h: put(t, "motions", (2, 0), 1e9), "motions: expected numbers"),
    "a missing tensor": (lambda t, h: t.pop("motions"), r"missing \['motions'\]"),
    "an unknown tensor": (lambda t, h: t.update(more=torch.zeros(1)), r"unknown \['more'\]"),
    "no beginning": (
        lambda t, h: [h.update(beginning=None), t.pop("origin_c2w"), t.pop("origin_intrinsics")],
        "expected a whole walk",
    ),
    "a part": (lambda t, h: h.update(first=4), "expected no beginning in a part"),
    "half a chunk": (
        lambda t, h: [t.update({name: t[name][:10]}) for name in ("latents", "c2w", "labels", "intrinsics")],
        "expected whole chunks",
    ),
    "a latch in the past": (lambda t, h: put(t, "latch_latents", 2, 4), "expected latches of growing"),
    "a latch too few": (lambda t, h: put(t, "latch_latents", 4, 9), "got none at latent 8"),
    "moves too many": (
        lambda t, h: [put(t, "latch_moves", 0, 4), put(t, "latch_moves", 1, 3)],
        "expected 3 moves, to the end of the chunk, got 4 at latent 0",
    ),
    "moves that are missing": (lambda t, h: put(t, "latch_moves", 0, 2), "expected as many moves"),
    "cameras that are missing": (lambda t, h: put(t, "is_camera", 0, 1), "expected as many moves"),
    "another format": (lambda t, h: h.update(format=2), "format: expected 1, got 2"),
    "an unknown field": (lambda t, h: h.update(more=1), "more: expected no such field"),
    "a seed out of range": (lambda t, h: h["beginning"].update(seed=-1), "seed: expected at least 0, got -1"),
    "too many prompts": (
        lambda t, h: h.update(prompts=[{"latent": i, "text": ""} for i in range(1001)]),
        "prompts: .*at most 1000",
    ),
    "a long prompt": (
        lambda t, h: h["prompts"][0].update(text="x" * 2001),
        "prompts.0.text: .*at most 2000",
    ),
    "a prompt of the future": (lambda t, h: h["prompts"][1].update(latent=13), "expected prompts of latents"),
    "a large picture": (
        lambda t, h: t.update(picture=torch.zeros(1, 1281, 3, dtype=torch.uint8)),
        "picture: expected U8",
    ),
    "a picture of another size": (
        lambda t, h: t.update(picture=torch.zeros(8, 8, 3, dtype=torch.uint8)),
        r"picture: expected the world's size \[32, 48\], got \[8, 8\]",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_file_is_refused_with_a_sentence(data: bytes, name: str) -> None:
    change, message = WRONG[name]
    with pytest.raises(ValueError, match=message) as caught:
        read_snapshot(changed(data, change))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"PK\x03\x04 a zip",
        b"\xff" * 64,
        (2).to_bytes(8, "little") + b"[]",
        (10**6).to_bytes(8, "little") + b"[" * 10**6,
        (30).to_bytes(8, "little") + b'{"__metadata__":{"other":"x"}}',
        (28).to_bytes(8, "little") + '{"\\"":[[],[]]}'.encode("utf-16-le"),
    ],
)
def test_file_of_another_kind_is_refused(file: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_snapshot(file)


def of_header(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


def in_metadata(text: str) -> bytes:
    return of_header(json.dumps({"__metadata__": {"worldplay": text}}).encode())


@pytest.mark.parametrize(
    "file",
    [
        of_header(b"{" + b",".join(b'"%d":0' % number for number in range(100_000)) + b"}"),
        of_header(b'{"a":[' + b"[]," * 100_000 + b"[]]}"),
        of_header(b'{"\\\\":[' + b"[]," * 100_000 + b'"\\""]}'),
        in_metadata("[" + "0," * 100_000 + "0]"),
        in_metadata("[" + '"",' * 100_000 + '""]'),
    ],
)
def test_header_of_very_many_values_is_refused_before_they_become_objects(
    file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = json.loads
    monkeypatch.setattr(Header, "model_validate_json", lambda text: pytest.fail("too many values"))
    monkeypatch.setattr(
        json, "loads", lambda text: loads(text) if text[2:14] == "__metadata__" else pytest.fail(text)
    )
    with pytest.raises(ValueError, match=r"no small JSON object|4096 strings and little else"):
        read_snapshot(file)


def test_many_long_prompts_of_any_letters_are_read(data: bytes) -> None:
    with torch.inference_mode():
        walk = walk_about(make_world()).snapshot()
    text = '\\"{[,"\\\\é' * 20
    prompts = tuple(PromptChange(latent, text) for latent in range(walk.end))
    assert read_snapshot(write_snapshot(replace(walk, prompts=prompts))).prompts == prompts


def test_every_cut_file_is_refused(data: bytes) -> None:
    for length in range(0, len(data), 97):
        with pytest.raises(ValueError, match="expected"):
            read_snapshot(data[:length])
    with pytest.raises(ValueError, match="expected"):
        read_snapshot(data + b"\0")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.integers(0, 6000), value=st.integers(0, 255))
def test_changed_byte_is_refused_or_harmless(data: bytes, place: int, value: int) -> None:
    damaged = bytearray(data)
    damaged[place % len(data)] = value
    try:
        snapshot = read_snapshot(bytes(damaged))
    except ValueError:  # in which case nothing was made of it
        return
    assert np.isfinite(snapshot.c2w).all()
    assert snapshot.latents.isfinite().all()


def test_walk_that_is_too_long_is_not_written() -> None:
    with torch.inference_mode():
        walk = walk_about(make_world())
        walk.walk.log.prompts *= MAX_PROMPTS
        with pytest.raises(TooLongError):
            write_snapshot(walk.snapshot())
