"""Processes of a training run end when the one that started them is killed."""

import subprocess
import sys
from pathlib import Path

import pytest

import train_world

CHAIN = """
import sys, time
from multiprocessing import get_context
from training import processes

def work(begin):
    getattr(processes, begin)()
    print("works", flush=True)
    time.sleep(60)

if __name__ == "__main__":
    process = get_context("spawn").Process(target=work, args=(sys.argv[1],))
    process.start()
    process.join()
"""


@pytest.mark.parametrize("begin", ["end_with_parent", "serve_parent"])
def test_a_process_ends_when_its_parent_is_killed(tmp_path: Path, begin: str) -> None:
    script = tmp_path / "chain.py"
    script.write_text(CHAIN)
    path = str(Path(train_world.__file__).parent)
    command = [sys.executable, str(script), begin]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": path}) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"works\n"
        parent.kill()
        assert parent.stdout.read() == b""  # it ends when no process has it open any more
