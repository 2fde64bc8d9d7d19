"""What chunks of a model take on this machine, and which size walks in real time; for `doctor`."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from worldplay.chunk_times import recall
from worldplay.settings import ModelSettings
from worldplay.size_paces import list_paces
from worldplay.world.frames import parse_size, show_size
from worldplay.world.pace import AUTO
from worldplay.world.released.files import find_root, is_released
from worldplay.world.released.offload_plan import MAX_SESSIONS
from worldplay.world.released.sizes import SIZES, SizePace, choose_size, render_sizes, render_tiers
from worldplay.world.released.variants import MODEL, Variant
from worldplay.world.tier import TierName


def find_paces(settings: ModelSettings, variant: Variant, budget: int) -> list[SizePace]:
    """Recall what a chunk takes at each size, in each tier, on this machine's GPU.

    With the size "auto", measure it: in the tier that was asked for, or in as many as a limited time allows.
    """
    if not variant.is_live:
        return []
    if not is_released(settings.model):  # it is not what `doctor` examines, whatever else may be served
        settings = settings.model_copy(update={"model": MODEL})
    tiers = _list_tiers(settings)
    if settings.size == AUTO:
        from worldplay.sizing import measure_tiers  # importing it takes seconds

        return measure_tiers(settings, tiers)
    each = [settings.model_copy(update={"tier": tier}) for tier in tiers]
    return [row for tiered in each for row in list_paces(tiered, budget, partial(recall, tiered))]


def _list_tiers(settings: ModelSettings) -> list[TierName]:
    """List the tier that was asked for, or all."""
    if "tier" in settings.model_fields_set:
        return [settings.tier]
    return list(get_args(TierName))


def find_examined(settings: ModelSettings) -> Path:
    """Return the folder of the released model that `doctor` examines, whatever else may be served."""
    model = settings.model if is_released(settings.model) else MODEL
    return find_root(model, settings.weights_dir)


def choose_shown_size(settings: ModelSettings, rows: Sequence[SizePace], *, planned: bool) -> tuple[int, int]:
    """Return the size to describe. Raises: ValueError if it cannot be chosen for another machine."""
    if settings.size != AUTO:
        return parse_size(settings.size)
    if planned:
        raise ValueError("expected a --size like 480x832 with --memory, got 'auto'")
    of_tier = [row for row in rows if row.tier == settings.tier]
    return choose_size(of_tier) if of_tier else SIZES[0]


def describe_speed(settings: ModelSettings, rows: Sequence[SizePace]) -> Iterator[str]:
    """Describe what chunks take on this machine; with the size "auto" also those of the embedded world."""
    if rows:
        yield "\nA chunk on this machine; sessions are those that fit in time and in memory"
        yield from (f"  {line}" for line in render_tiers(rows))
        if any(row.pace is None and row.room for row in rows):
            yield "  - : not measured; worldplay doctor --size auto measures it, in minutes; --tier: only one"
    if settings.size == AUTO:
        yield from _describe_embedded(settings)
    elif not rows and settings.tier != "exact":
        asked = f"`worldplay doctor --size auto --tier {settings.tier}`"
        yield f"\nWithout a GPU, {asked} measures the embedded world"
    yield from _say_what_is_served(settings, rows)


def _describe_embedded(settings: ModelSettings) -> Iterator[str]:
    from worldplay.sizing import measure_embedded  # importing it takes seconds

    size, pace = measure_embedded(settings)
    tier = "" if settings.tier == "exact" else f", tier {settings.tier}"
    yield f"\nThe embedded world on this machine{tier}"
    yield from (f"  {line}" for line in render_sizes([SizePace(size, pace, MAX_SESSIONS)]))


def _say_what_is_served(settings: ModelSettings, rows: Sequence[SizePace]) -> Iterator[str]:
    """Say for each tier that was measured which size is served, and whether that is in real time."""
    gpus = f" --gpus {settings.gpus}" if settings.gpus > 1 else ""
    for index, tier in enumerate(dict.fromkeys(row.tier for row in rows if row.pace is not None)):
        of_tier = [row for row in rows if row.tier == tier]
        asked = "" if tier == "exact" else f" --tier {tier}"
        is_in_time = any(row.sessions for row in of_tier)
        how = "in real time" if is_in_time else "the fastest; it is not in real time"
        served = f"`worldplay serve --model {MODEL} --size auto{gpus}{asked}` takes"
        yield f"{'' if index else chr(10)}{served} {show_size(choose_size(of_tier))}, {how}"
