"""Where this tree is, and how another process runs its code."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "tests" / "data"
GOLDENS = DATA / "goldens"
PACKAGE = REPOSITORY / "server" / "worldplay"

_SOURCES = [str(REPOSITORY / folder) for folder in ("server", "scripts", "tests")]
# Of a process that a test starts: it imports this tree, wherever one is installed, computes in one thread,
# as the tests do, and keeps nothing.
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(_SOURCES),
    "OMP_NUM_THREADS": "1",
    "WORLDPLAY_STORE": "none",
    "WORLDPLAY_RECORDINGS": "none",
}


def run_python(
    *arguments: str, said: str = "", check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own; `said` is its input. Raises: CalledProcessError if it fails."""
    return subprocess.run(
        [sys.executable, *arguments],
        input=said,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=check,
    )
