"""Who may import whom: the layers of the package, read from its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import PACKAGE

# Files of the root that rooms may import, and what those may import themselves.
ROOT_FILES: dict[str, set[str]] = {
    "folders": set(),
    "variables": set(),
    "setting_kinds": {"protocol", "world"},
    "settings": {"folders", "setting_kinds", "variables", "world"},
    "chunk_times": {"settings", "world"},
    "size_paces": {"settings", "world"},
    "loading": {"settings", "ranks", "world"},
    "engine_setup": {"settings", "chunk_times", "loading", "engine", "world"},
    "sizing": {"settings", "chunk_times", "size_paces", "loading", "engine", "ranks", "world"},
}
MAY_IMPORT = {
    "model": set(),
    "world": {"model"},
    "ranks": {"model"},
    "hub": {"world"},
    "store": {"media", "world"},
    "engine": {"world"},
    "media": set(),
    "protocol": set(),
    "client": {"protocol"},
    "clips": {"engine", "media"},
    "web": {
        *("clips", "engine", "media", "protocol", "store"),
        *("engine_setup", "loading", "setting_kinds", "settings", "sizing"),
    },
    "commands": {"client", "clips", "engine", "media", "hub", "web", *ROOT_FILES},
}
ANY_LAYER_MAY_IMPORT = {"wording"}
# Inside world: its own files, then the courtyard, then the two models, which know nothing of each other.
ROOMS_OF_WORLD_MAY_IMPORT: dict[str, set[str]] = {
    "pictures": {"pictures"},
    "courtyard": {"courtyard"},
    "embedded": {"courtyard", "embedded"},
    "released": {"courtyard", "released"},
}
THREADS = {"threading", "concurrent"}
FORBIDDEN_LIBRARIES = {
    "model": {"numpy", "asyncio", "starlette", *THREADS},
    "world": {"asyncio", "starlette", "av", *THREADS},
    "engine": {"torch", "asyncio", "starlette", "av"},
    "media": {"torch", "asyncio", "starlette", *THREADS},
    "protocol": {"torch", "numpy", "asyncio", "time", "socket", "starlette", "av", *THREADS},
    "client": {"torch", "asyncio", "starlette", "av", *THREADS},
    "store": {"torch", "asyncio", "starlette", "av"},
    "clips": {"torch", "asyncio", "starlette", "av", *THREADS},
    "web": {"torch", "av", *THREADS},
}
HAVE_A_THREAD = {"media/frame_encoder.py", "web/disk_threads.py"}  # of the layers that otherwise have none
# The only ones that see the engine together with media or protocol.
JOIN = {
    f"web/{name}.py"
    for name in ("stream", "receiver", "listener", "outlet", "translate", "visit", "visits", "recording")
}
JOIN |= {"web/audience.py", "web/watcher.py", "clips/file.py"}


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


def allowed_to(layer: str) -> set[str]:
    below = MAY_IMPORT[layer] if layer in MAY_IMPORT else ROOT_FILES[layer]
    return {layer} | ANY_LAYER_MAY_IMPORT | below.union(*map(allowed_to, below))


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_package_imports_only_layers_below(layer: str) -> None:
    allowed = allowed_to(layer)
    for path in sorted((PACKAGE / layer).rglob("*.py")):
        for name in imported_names(path):
            target = layer_of(name)
            assert target is None or target in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("name", ROOT_FILES)
def test_root_files_import_only_layers_below(name: str) -> None:
    for imported in imported_names(PACKAGE / f"{name}.py"):
        target = layer_of(imported)
        assert target is None or target in allowed_to(name), f"{name}.py imports {imported}"


def room_of(name: str) -> str | None:
    """The room of world that a module is in, if it is in one."""
    parts = name.split(".")
    rooms = ROOMS_OF_WORLD_MAY_IMPORT
    return parts[2] if parts[:2] == ["worldplay", "world"] and len(parts) > 2 and parts[2] in rooms else None


@pytest.mark.parametrize("room", ROOMS_OF_WORLD_MAY_IMPORT)
def test_rooms_of_the_world_import_only_those_below(room: str) -> None:
    for path in sorted((PACKAGE / "world" / room).rglob("*.py")):
        for name in imported_names(path):
            other = room_of(name)
            allowed = ROOMS_OF_WORLD_MAY_IMPORT[room] | {None, "pictures"}
            assert other in allowed, f"{room}/{path.name} imports {name}"


def test_the_core_of_the_world_knows_none_of_its_worlds() -> None:
    for path in sorted((PACKAGE / "world").glob("*.py")):
        for name in imported_names(path):
            assert room_of(name) in (None, "pictures"), f"{path.name} imports {name}"


def test_nothing_but_commands_and_loading_sees_both_worlds() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        rooms = {room_of(name) for name in imported_names(path)}
        if {"embedded", "released"} <= rooms:
            assert path == PACKAGE / "loading.py", path


@pytest.mark.parametrize("name", ANY_LAYER_MAY_IMPORT)
def test_what_any_layer_may_import_imports_none_of_ours(name: str) -> None:
    assert not [each for each in imported_names(PACKAGE / f"{name}.py") if layer_of(each)]


@pytest.mark.parametrize("layer", FORBIDDEN_LIBRARIES)
def test_package_keeps_foreign_libraries_out(layer: str) -> None:
    for path in sorted((PACKAGE / layer).rglob("*.py")):
        forbidden = FORBIDDEN_LIBRARIES[layer]
        if str(path.relative_to(PACKAGE)) in HAVE_A_THREAD:
            forbidden = forbidden - THREADS
        for name in imported_names(path):
            assert name.split(".")[0] not in forbidden, f"{path.name} imports {name}"


def test_only_a_few_files_join_engine_with_media_or_protocol() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        layers = {layer_of(name) for name in imported_names(path)}
        if "engine" in layers and layers & {"media", "protocol"}:
            assert str(path.relative_to(PACKAGE)) in JOIN, f"{path} joins {layers}"


def test_only_settings_reads_the_environment() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "settings.py":
            source = path.read_text()
            assert "os.environ" not in source, path
            assert "getenv" not in source, path
