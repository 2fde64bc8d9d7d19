"""Where some of a model's files are, and how JSON is read. Errors say what is wrong and how to fix it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TINY_DECODER = Path("taehv") / "taehv1_5.safetensors"  # in the folder of the model's files


@contextmanager
def suggesting(command: str) -> Iterator[None]:
    """Append a suggestion to every ValueError and OSError. Use it once, where loading begins."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{error}; {command}") from error
    except ValueError as error:
        raise ValueError(f"{error}; {command}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises: OSError or ValueError naming the file."""
    if not path.is_file():
        raise OSError(f"{path} is missing")
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not an object")
    return content
