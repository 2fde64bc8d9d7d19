"""Where the repository and the tests' data are."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "tests" / "data"
GOLDENS = DATA / "goldens"
PACKAGE = REPOSITORY / "server" / "worldplay"
