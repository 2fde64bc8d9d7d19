"""A clip's file, made by the embedded world."""

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.clips import decode, make_plan, write
from worldplay.clips.writer import count_passes, write_clip
from worldplay.model.vae import StreamingVAE
from worldplay.world.world import World


def test_clip_has_the_frames_asked_for(world: World, tmp_path: Path) -> None:
    record = write(world, make_plan(world, num_frames=29), tmp_path / "clip.mp4")
    frames = decode((tmp_path / "clip.mp4").read_bytes())
    assert [frame.shape for frame in frames] == [(world.height, world.width, 3)] * 29
    assert [done.report.chunk.num_frames for done in record.chunks] == [13, 16]
    assert record.timings_ms().keys() == {"select", "context", "denoise", "decode", "encode"}


def test_file_that_is_still_growing_can_be_played(world: World, tmp_path: Path) -> None:
    write(world, make_plan(world, num_frames=29), tmp_path / "clip.mp4")
    data = (tmp_path / "clip.mp4").read_bytes()
    half = data[: data.rindex(b"moof", 0, len(data) // 2) - 4]
    assert 5 < len(decode(half)) < 29


def test_seed_decides(world: World, tmp_path: Path) -> None:
    files = [tmp_path / f"{index}.mp4" for index in range(3)]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        write(world, make_plan(world, num_frames=13, seed=seed), file)
    one, same, other = (file.read_bytes() for file in files)
    assert one == same != other


def test_full_disk_is_told_with_the_file_and_what_there_is_of_it(world: World) -> None:
    expected = r"^cannot write /dev/full: No space left on device; nothing of /dev/full can be played$"
    with pytest.raises(OSError, match=expected):
        write(world, make_plan(world, num_frames=13), Path("/dev/full"))


@pytest.mark.slow
def test_failure_is_told_with_what_there_is_of_the_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_latent, calls = StreamingVAE.decode_latent, count()

    def fail_at_the_sixth(self: StreamingVAE, *arguments: Any, **options: Any) -> object:
        if next(calls) == 5:
            raise torch.OutOfMemoryError
        return decode_latent(self, *arguments, **options)

    monkeypatch.setattr(StreamingVAE, "decode_latent", fail_at_the_sixth)
    out = tmp_path / "a.mp4"
    expected = r"^not enough memory for this clip: .*; the first 13 frames of .*a.mp4 can be played$"
    with pytest.raises(OSError, match=expected):
        write(world, make_plan(world, num_frames=29), out)
    assert len(decode(out.read_bytes())) >= 13


def test_progress_is_told_at_every_pass(world: World, tmp_path: Path) -> None:
    told: list[int] = []
    clip = make_plan(world, num_frames=29, steps=3)
    write_clip(world, clip, tmp_path / "clip.mp4", told.append, overlay=False)
    assert told == [0] * (1 + 3) + [13] * (1 + 3)
    assert len(told) == count_passes(world, clip)


@pytest.mark.parametrize("prompts", [{4: "at night"}, {4: "at night", 12: "at dusk"}, {8: "a sunny day"}])
def test_progress_counts_the_passes_that_another_light_takes(
    world: World, tmp_path: Path, prompts: dict[int, str]
) -> None:
    told: list[int] = []
    changes = [{"latent": latent, "text": text} for latent, text in prompts.items()]
    plan = make_plan(world, pose={"poses": [np.eye(4).tolist()] * 16, "prompts": changes})
    write_clip(world, plan, tmp_path / "clip.mp4", told.append, overlay=False)
    assert len(told) == count_passes(world, plan)
