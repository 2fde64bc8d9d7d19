"""The command line of measuring."""

from pathlib import Path

import pytest

import eval_world
from evaluation.workers import fingerprint


def test_a_folder_without_a_world_ends_it_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        eval_world.main(["--folder", str(tmp_path), "--weights", str(tmp_path / "none")])
    said = capsys.readouterr().err
    assert said.startswith(f"eval_world.py: {tmp_path}/none/world.json is missing")
    assert said.count("\n") == 1


def test_a_fingerprint_tells_descriptions_apart(tmp_path: Path) -> None:
    (tmp_path / "transformer.safetensors").write_bytes(b"weights")
    found = []
    for steps in (4, 4, 2):
        (tmp_path / "world.json").write_text(f'{{"steps": {steps}}}')
        found.append(fingerprint(str(tmp_path)))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"sections": 5}'])
def test_results_that_are_none_end_it_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(SystemExit, match="2"):
        eval_world.main(["--folder", str(tmp_path)])
    assert f"{tmp_path}/results.json does not hold results" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--processes", "0"], "--processes expects at least 1, got 0"), ([], "got the file")],
)
def test_options_that_make_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    folder = tmp_path / "file"
    if not options:
        folder.touch()
    with pytest.raises(SystemExit, match="2"):
        eval_world.main(["--folder", str(folder), *options])
    assert said in capsys.readouterr().err
