"""Refuses options that have no effect, before anything slow is imported."""

from collections.abc import Mapping
from pathlib import Path

from worldplay.settings import ModelSettings
from worldplay.world.pace import AUTO
from worldplay.world.released.files import is_released


def refuse_released_options(
    settings: ModelSettings, variant: str | None, size: str | None, weights_dir: Path | None
) -> None:
    """Refuse options of the released model for another model: probably `--model` was forgotten.

    The size "auto" is right for every model.

    Raises: ValueError naming the first.
    """
    options = {"--variant": variant, "--size": None if size == AUTO else size, "--weights-dir": weights_dir}
    if any(options.values()) and not is_released(settings.model):
        refuse(f"with --model {settings.model}", options)


def refuse(case: str, options: Mapping[str, object]) -> None:
    """Refuse options that have no effect in this case. Raises: ValueError naming the first that was given."""
    for option, value in options.items():
        if value is not None:
            raise ValueError(f"{option} has no effect {case}")
