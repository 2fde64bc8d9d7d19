"""Processes that measure end when the evaluation is killed: they would go on for minutes."""

import subprocess
import sys
from pathlib import Path

import pytest

import eval_world
from support.paths import PACKAGE

EVALUATION = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from evaluation.workers import _begin

def work():
    print("works", flush=True)
    time.sleep(60)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin) as pool:
        pool.submit(work).result()
"""


@pytest.mark.slow
def test_workers_end_when_the_evaluation_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "evaluation_of_nothing.py"
    script.write_text(EVALUATION)
    path = f"{Path(eval_world.__file__).parent}:{PACKAGE.parent}"
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": path}) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"works\n"
        parent.kill()
        assert parent.stdout.read() == b""  # it ends when no process has it open any more
