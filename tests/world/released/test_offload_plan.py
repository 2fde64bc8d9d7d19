"""Offload plans: what stays on the GPU when memory gets tight."""

from dataclasses import replace

import pytest

from worldplay.world.released.memory_estimate import MemoryEstimate
from worldplay.world.released.offload_plan import (
    OffloadMode,
    OffloadPlan,
    count_cache_sets,
    count_spare,
    count_waiting,
    plan_for_sessions,
    plan_offload,
    plan_to_keep,
)

NEEDED = MemoryEstimate(
    image_stream=30,
    text_stream=20,
    text_is_idle=True,
    autoencoder=10,
    decoder=6,
    encoders=40,
    caches=100,
    unrotated_caches=60,
    context_latent=4,
    kept_latent=2,
    walk=7,
    walk_latents=3,
    working=10,
    encoding=5,
    exchange=0,
)


@pytest.mark.parametrize(
    ("budget", "unrotated", "encoders", "text_stream", "peak"),
    [
        (None, False, "ON_DEVICE", "ON_DEVICE", 220),
        (500, False, "ON_DEVICE", "ON_DEVICE", 220),
        (220, False, "ON_DEVICE", "ON_DEVICE", 220),
        (219, False, "SWAPPED", "ON_DEVICE", 210),
        (209, False, "SWAPPED", "SWAPPED", 190),
        (189, False, "ON_CPU", "ON_DEVICE", 180),
        (179, False, "ON_CPU", "SWAPPED", 170),
        (169, True, "SWAPPED", "SWAPPED", 150),
        (149, True, "ON_CPU", "ON_DEVICE", 140),
        (139, True, "ON_CPU", "SWAPPED", 130),
    ],
)
def test_cheapest_plan_that_fits(
    budget: int | None, unrotated: bool, encoders: str, text_stream: str, peak: int
) -> None:
    expected = OffloadPlan(unrotated, OffloadMode[encoders], OffloadMode[text_stream], peak, fits=True)
    assert plan_offload(NEEDED, 1, budget) == expected


def test_plan_that_does_not_fit_is_the_smallest() -> None:
    smallest = OffloadPlan(True, OffloadMode.ON_CPU, OffloadMode.SWAPPED, 130, fits=False)
    assert plan_offload(NEEDED, 1, 129) == smallest


def test_every_walk_adds_the_same() -> None:
    assert plan_offload(NEEDED, 3, None).peak == plan_offload(NEEDED, 1, None).peak + 20


def test_text_stream_that_every_step_reads_stays_on_the_gpu() -> None:
    busy = replace(NEEDED, text_is_idle=False, caches=0, unrotated_caches=0)
    for budget in (None, 120, 0):
        assert plan_offload(busy, 1, budget).text_stream is OffloadMode.ON_DEVICE
    assert plan_offload(busy, 1, None).peak == 120
    assert plan_offload(busy, 1, 0).peak == 80


@pytest.mark.parametrize(
    ("sessions", "clips", "budget", "planned", "fits"),
    [
        (4, 1, None, 4, True),
        (4, 1, 150, 2, True),
        (4, 1, 139, 1, False),
        (0, 1, 130, 0, True),
        (1, 0, 130, 1, True),
    ],
)
def test_as_many_sessions_as_fit(
    sessions: int, clips: int, budget: int | None, planned: int, fits: bool
) -> None:
    plan, count = plan_for_sessions(NEEDED, sessions, clips, budget)
    assert (count, plan.fits) == (planned, fits)


@pytest.mark.parametrize(
    ("encoders", "text_stream", "expected"),
    [
        (OffloadMode.ON_DEVICE, OffloadMode.ON_DEVICE, 0),
        (OffloadMode.SWAPPED, OffloadMode.ON_DEVICE, 100),
        (OffloadMode.SWAPPED, OffloadMode.SWAPPED, 110),
        (OffloadMode.ON_CPU, OffloadMode.ON_DEVICE, 200),
    ],
)
def test_what_is_not_on_the_gpu_takes_the_hosts_memory(
    encoders: OffloadMode, text_stream: OffloadMode, expected: int
) -> None:
    plan = OffloadPlan(False, encoders, text_stream, peak=0, fits=True)
    assert count_waiting(plan, encoders=100, text_stream=10, widening=2) == expected


@pytest.mark.parametrize(
    ("budget", "walks", "sets"),
    [
        (240, 2, 1),  # 10 more than the peak, and the recordings take them
        (339, 2, 1),
        (340, 2, 2),
        (340, 3, 1),
        (1000, 3, 3),
        (150, 2, 1),  # does not fit at all
        (170, 1, 1),
        (260, 2, 1),
    ],
)
def test_walks_have_caches_of_their_own_where_there_is_memory(budget: int, walks: int, sets: int) -> None:
    plan = plan_offload(NEEDED, walks, budget)
    assert count_cache_sets(NEEDED, plan, walks, budget) == sets


def test_caches_of_their_own_never_take_more_than_what_is_spare() -> None:
    for budget in range(130, 1000, 7):
        plan = plan_offload(NEEDED, 4, budget)
        more = count_cache_sets(NEEDED, plan, 4, budget) - 1
        one = NEEDED.unrotated_caches if plan.unrotated_caches else NEEDED.caches
        assert (
            more * one <= count_spare(NEEDED, plan, 4, budget) <= max(0, budget - plan.peak - NEEDED.working)
        )


@pytest.mark.parametrize(("others", "spare"), [(None, 37), (1000, 37), (200, 16), (190, 6), (100, 0)])
def test_what_is_spare_is_so_on_every_gpu(others: int | None, spare: int) -> None:
    plan = plan_offload(NEEDED, 4, 297)
    assert count_spare(NEEDED, plan, 4, 297, others) == spare


@pytest.mark.parametrize(
    ("budget", "others", "host", "planned"),
    [
        (480, None, 1000, ("ON_DEVICE", "ON_DEVICE", 4)),  # 240 at most, recordings 10, 5 walks of 40 latents
        (455, None, 1000, ("SWAPPED", "SWAPPED", 4)),
        (455, None, 59, ("ON_DEVICE", "ON_DEVICE", 3)),  # the host has no room for what would be moved
        (290, None, 1000, ("SWAPPED", "SWAPPED", 1)),
        (289, None, 1000, None),
        (480, 250, 1000, ("ON_DEVICE", "ON_DEVICE", 1)),  # another rank has less memory
    ],
)
def test_tiers_move_what_prompts_need_and_have_fewer_sessions_to_keep_context(
    budget: int, others: int | None, host: int, planned: tuple[str, str, int] | None
) -> None:
    needed = replace(NEEDED, kept_latent=1)
    found = plan_to_keep(needed, 4, 1, budget, 20, others, host)
    got = None if found is None else (found[0].encoders.name, found[0].text_stream.name, found[1])
    assert got == planned
    if found is not None:
        assert not found[0].unrotated_caches


def test_model_without_caches_has_no_more_of_them() -> None:
    busy = replace(NEEDED, text_is_idle=False, caches=0, unrotated_caches=0)
    assert count_cache_sets(busy, plan_offload(busy, 1, 1000), 3, 1000) == 1
