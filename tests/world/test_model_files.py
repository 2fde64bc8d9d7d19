"""What is wrong with a file, and what mends it, in one sentence."""

from pathlib import Path

import pytest

from worldplay.world.model_files import read_json, suggesting


@pytest.mark.parametrize("kind", [OSError, ValueError])
def test_suggestion_follows_the_error(kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^x is missing; run `mend`$"), suggesting("run `mend`"):
        raise kind("x is missing")


def test_suggestion_follows_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"Is a directory: '.*'; run `mend`$"), suggesting("run `mend`"):
        tmp_path.read_text()


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(KeyError), suggesting("run `mend`"):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", r"is not JSON \(.*\)"),
        ("[" * 100_000, r"is not JSON \(.*\)"),
        ("[]", "holds a list, not an object"),
        ("null", "holds a NoneType, not"),
    ],
)
def test_file_that_is_no_json_object(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(OSError, match=r"config.json is missing$"):
        read_json(path)
    path.write_text(content)
    with pytest.raises(ValueError, match=f"config.json {problem}"):
        read_json(path)
