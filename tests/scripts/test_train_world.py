"""The command line of training: what is wrong is said before anything runs."""

from contextlib import ExitStack
from pathlib import Path

import pytest

import eval_world
import train_world
from train_world import evaluation_command, parse, run_stages
from training import walk_files
from training.data import HELD_OUT_SEED
from training.stages import Options
from training.walk_files import make_drawer, render_walks
from worldplay.world.embedded.load import EMBEDDED

ALL = ["pictures", "render", "text", "vae", "latents", "transformer"]


@pytest.mark.parametrize("stages", [ALL, ["render"], ["text"], ["render", "reuse", *ALL[4:]]])
def test_stages_that_make_what_the_next_ones_expect(tmp_path: Path, stages: list[str]) -> None:
    options = parse([*stages, "--folder", str(tmp_path), "--start", str(EMBEDDED)])
    assert options.stages == stages
    assert (options.processes, options.device) == (2, "cpu")


@pytest.mark.parametrize(
    ("stages", "lacking", "makers"),
    [
        (["vae"], "vae expects {}/pictures:", "pictures"),
        (["render", "latents"], "latents expects {}/vae.safetensors:", "vae or reuse"),
        (
            ["pictures", "render", "vae", "latents", "transformer"],
            "transformer expects {}/text.safetensors:",
            "text or reuse",
        ),
        (
            ["pictures", "render", "text", "vae", "transformer"],
            "transformer expects {}/latents/1000000.npy:",
            "latents",
        ),
    ],
)
def test_a_stage_without_what_it_expects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stages: list[str], lacking: str, makers: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse([*stages, "--folder", str(tmp_path)])
    assert f"error: {lacking.format(tmp_path)} run {makers} first" in capsys.readouterr().err


def test_what_is_in_the_folder_need_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    assert parse(["vae", "--folder", str(tmp_path)]).stages == ["vae"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["reuse"], "reuse expects --start"),
        (["render", "--start", "nowhere"], "--start expects an earlier version, but nowhere/world.json is"),
        (["render", "--processes", "0"], "--processes expects 1 to"),
        (["render", "--processes", "1000000"], "--processes expects 1 to"),
        (["render", "--minutes", "0"], "--minutes expects a positive number, got 0.0"),
        (["render", "--minutes", "inf"], "--minutes expects a positive number, got inf"),
        (["render", "--vae-minutes", "nan"], "--vae-minutes expects a positive number, got nan"),
        (["render", "--rate", "-1"], "--rate expects a positive number, got -1.0"),
        (["render", "--walks", "0"], "--walks expects 1 to 500000, got 0"),
        (["render", "--walks", "500001"], "--walks expects 1 to 500000, got 500001"),
        (["render", "--drills", "500001"], "--drills expects 0 to 500000, got 500001"),
        (["render", "--nice", "-5"], "--nice expects 0 to 19, got -5"),
        (["render", "--device", "tpu"], "--device: expected a device like 'cpu'"),
        (["render", "--device", "cuda:99"], "--device: expected a device of this machine, got 'cuda:99'"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse([*wrong, "--folder", str(tmp_path)])
    assert said in capsys.readouterr().err


def test_the_command_that_measures_is_one_that_is_understood(tmp_path: Path) -> None:
    python, script, *arguments = evaluation_command(tmp_path).split()
    options = eval_world.parse(arguments)
    assert (python, script) == ("python", "scripts/eval_world.py")
    assert (options.folder, options.weights, options.quick) == (tmp_path / "eval", str(tmp_path), True)


def test_a_gpu_has_one_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    command = ["render", "--folder", str(tmp_path), "--device", "cuda"]
    assert parse(command).processes == 1
    with pytest.raises(SystemExit, match="2"):
        parse([*command, "--processes", "2"])
    assert "--processes expects 1 to 1 for cuda, got 2" in capsys.readouterr().err


def test_the_text_encoder_is_trained_beside_all_that_a_gpu_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Noted:
        def __init__(self, stage: str, options: Options) -> None:
            self._said = f"{stage} on {options.device}"

        def __enter__(self) -> "Noted":
            done.append(self._said)
            return self

        def __exit__(self, *_: object) -> None: ...

        def wait(self) -> None:
            done.append(f"waited for {self._said}")

    monkeypatch.setattr(train_world, "Ranks", Noted)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    options = parse(["--preset", "short", "--device", "cuda", "--folder", str(tmp_path)])
    with ExitStack() as running:
        run_stages(options, running)
    assert done[0] == "text on cpu"
    assert done.index("waited for latents on cuda") < done.index("waited for text on cpu")
    assert done.index("waited for text on cpu") < done.index("transformer on cuda")


def test_a_rank_waits_for_all_to_connect_before_it_may_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(train_world, "end_with_parent", lambda: None)
    monkeypatch.setattr("os.nice", lambda _: None)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    for name in ("init_process_group", "barrier", "destroy_process_group"):
        monkeypatch.setattr(f"torch.distributed.{name}", lambda *_, name=name, **__: done.append(name))
    monkeypatch.setitem(train_world.STAGES, "render", lambda _: done.append("render"))
    options = parse(["render", "--folder", str(tmp_path)])
    train_world._run_rank(0, "render", options, "file:///nowhere")
    assert done == ["init_process_group", "barrier", "render", "destroy_process_group"]


def test_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        parse(["render", "--folder", str(tmp_path / "file")])
    assert "--folder expects a folder, or where one can be made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "scale", "brighter", "taken"),
    [("walks", 1, 0, True), ("pictures", 2, 0, True), ("walks", 1, 20, False), ("pictures", 1, 0, False)],
)
def test_walks_of_another_court_or_size_are_not_taken(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    scale: int,
    brighter: int,
    taken: bool,
) -> None:
    monkeypatch.setattr(walk_files, "HEIGHT", 24)
    monkeypatch.setattr(walk_files, "WIDTH", 40)
    drawer = make_drawer(scale, "cpu")
    list(render_walks(tmp_path / folder, [HELD_OUT_SEED + 5], 2, lambda *view: drawer(*view) + brighter))
    command = ["render", "--folder", str(tmp_path)]
    if taken:
        assert parse(command).stages == ["render"]
        return
    with pytest.raises(SystemExit, match="2"):
        parse(command)
    assert f"--folder expects walks through this court, but those in {tmp_path / folder} show" in (
        capsys.readouterr().err
    )
