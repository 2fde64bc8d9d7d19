"""Who may import whom: the layers of the package, read from its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import PACKAGE

MAY_IMPORT = {
    "model": set(),
    "world": {"model"},
    "engine": {"world"},
    "media": set(),
    "protocol": set(),
}
FORBIDDEN_LIBRARIES = {
    "model": {"numpy", "asyncio", "threading", "starlette"},
    "world": {"asyncio", "threading", "starlette", "av"},
    "engine": {"torch", "asyncio", "starlette", "av"},
    "media": {"torch", "asyncio", "threading", "starlette"},
    "protocol": {"torch", "numpy", "asyncio", "threading", "time", "socket", "starlette", "av"},
}
ROOT_FILES_THAT_JOIN = {"stream", "clips"}  # the only ones that see engine with media or protocol


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module


def layer_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "worldplay" and len(parts) > 1 else None


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_package_imports_only_layers_below(layer: str) -> None:
    allowed = MAY_IMPORT[layer] | {layer}
    allowed |= {below for name in allowed for below in MAY_IMPORT[name]}
    for path in sorted((PACKAGE / layer).rglob("*.py")):
        for name in imported_names(path):
            target = layer_of(name)
            assert target is None or target in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("layer", FORBIDDEN_LIBRARIES)
def test_package_keeps_foreign_libraries_out(layer: str) -> None:
    for path in sorted((PACKAGE / layer).rglob("*.py")):
        for name in imported_names(path):
            assert name.split(".")[0] not in FORBIDDEN_LIBRARIES[layer], f"{path.name} imports {name}"


def test_only_a_few_files_join_engine_with_media_or_protocol() -> None:
    for path in sorted(PACKAGE.glob("*.py")):
        layers = {layer_of(name) for name in imported_names(path)}
        if "engine" in layers and layers & {"media", "protocol"}:
            assert path.stem in ROOT_FILES_THAT_JOIN, f"{path.name} joins {layers}"


def test_only_settings_reads_the_environment() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "settings.py":
            source = path.read_text()
            assert "os.environ" not in source, path
            assert "getenv" not in source, path
