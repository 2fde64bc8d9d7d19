"""Reads a directory of golden cases: manifest.json, and safetensors files with in.* and out.* tensors."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

_FORMAT = 1
_FIELDS = {"kind", "file", "tolerance"}
_CPU = torch.device("cpu")


class GoldenError(Exception):
    """The directory is missing, damaged, or of an unknown format."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the networks run, and in which dtype."""

    device: torch.device = _CPU
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True, slots=True)
class Case:
    """One case with its tensors; `outputs` is what a runner must reproduce.

    The tensors are on the CPU: a runner brings to the case's place what a network takes.
    """

    name: str
    kind: str
    meta: dict[str, Any]
    tolerance: dict[str, Any]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    dependency: "Case | None"
    place: Place = field(default_factory=Place)

    @property
    def placed(self) -> dict[str, Tensor]:
        """Return the inputs on the device of the case's place."""
        return {name: value.to(self.place.device) for name, value in self.inputs.items()}


@dataclass(frozen=True, slots=True)
class Manifest:
    """The decoded manifest of a directory."""

    directory: Path
    cases: dict[str, dict[str, Any]]
    weight_checks: dict[str, dict[str, Any]]


def read_manifest(directory: Path) -> Manifest:
    """Read manifest.json.

    Raises: GoldenError saying what was expected and what was found.
    """
    path = directory / "manifest.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GoldenError(f"expected a JSON manifest at {path}: {error}") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise GoldenError(f"expected a manifest of format {_FORMAT} at {path}")
    cases = document.get("cases")
    if not isinstance(cases, dict) or not cases:
        raise GoldenError(f"expected cases in {path}")
    return Manifest(directory, cases, document.get("weight_rule", {}).get("checks", {}))


def load_case(manifest: Manifest, name: str, place: Place | None = None) -> Case:
    """Load a case's tensors, and those of the case it depends on, for a place; None: the CPU in float32.

    Raises: GoldenError if a file is missing or damaged, or differs from what the manifest lists.
    """
    entry = manifest.cases.get(name)
    if not isinstance(entry, dict) or not entry.keys() >= _FIELDS:
        raise GoldenError(f"expected a case {name!r} with {', '.join(sorted(_FIELDS))} in the manifest")
    tensors = _load_tensors(manifest.directory / entry["file"])
    needed = entry.get("depends_on")
    return Case(
        name=name,
        kind=entry["kind"],
        meta=entry.get("meta", {}),
        tolerance=entry["tolerance"],
        inputs=_listed(tensors, "in.", entry.get("inputs"), name),
        outputs=_listed(tensors, "out.", entry.get("outputs"), name),
        dependency=load_case(manifest, needed) if needed else None,
        place=place or Place(),
    )


def _load_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise GoldenError(f"cannot read {path.name}: {error}") from error


def _listed(
    tensors: dict[str, Tensor], prefix: str, listed: dict[str, Any] | None, name: str
) -> dict[str, Tensor]:
    """Take the tensors of a prefix. Raises: GoldenError if the manifest lists others, or other shapes."""
    taken = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    found = {
        key: [list(value.shape), str(value.dtype).removeprefix("torch.")] for key, value in taken.items()
    }
    wanted = listed or {}
    if found != wanted:
        wrong = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        raise GoldenError(f"{name}: the file and the manifest differ in {prefix}{{{', '.join(wrong[:5])}}}")
    return taken
