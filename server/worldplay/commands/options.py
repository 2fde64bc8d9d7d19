"""Options that mean nothing beside others. They are refused before anything heavy is imported."""

from collections.abc import Mapping
from pathlib import Path

from worldplay.settings import ModelSettings
from worldplay.world.released.files import is_released


def refuse_released_options(
    settings: ModelSettings, variant: str | None, size: str | None, weights_dir: Path | None
) -> None:
    """Raises: ValueError for an option of the released model without it: `--model` was forgotten."""
    options = {"--variant": variant, "--size": size, "--weights-dir": weights_dir}
    if any(options.values()) and not is_released(settings.model):
        refuse(f"with --model {settings.model}", options)


def refuse(case: str, options: Mapping[str, object]) -> None:
    """Raises: ValueError naming the first of the options that was given, which means nothing in this case."""
    for option, value in options.items():
        if value is not None:
            raise ValueError(f"{option} means nothing {case}")
