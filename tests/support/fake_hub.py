"""A hub that is a dictionary: every source has one weights file."""

from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import save

from worldplay.hub.files import HubFile
from worldplay.hub.sources import Source

WEIGHTS = save({"a": torch.zeros(4)})


class FakeHub:
    """Every source has one weights file, in its first pattern's folder."""

    def __init__(self, weights: bytes = WEIGHTS, claimed: int | None = None) -> None:
        self.weights = weights
        self.claimed = len(weights) if claimed is None else claimed
        self.fetched: list[str] = []
        self.looked_up: list[str] = []

    def list_files(self, source: Source) -> list[HubFile]:
        name = str(Path(source.patterns[0]).parent / "model.safetensors")
        return [HubFile(name, f"https://hub/{name}", self.claimed, sha256(self.weights).hexdigest())]

    def check_access(self, source: Source, file: HubFile) -> None:
        self.looked_up.append(source.repository)

    def fetch(self, source: Source, file: HubFile, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.weights)
        self.fetched.append(source.repository)
