"""The Modal deployment, as far as it goes without an account: what it serves is the application."""

import runpy
import sys
from typing import Any

import pytest
from starlette.testclient import TestClient

from support.paths import REPOSITORY

SCRIPT = str(REPOSITORY / "scripts" / "modal_app.py")


class Modal:
    """Takes whatever is asked of it, and as a decorator leaves the function as it is."""

    def __getattr__(self, name: str) -> "Modal":
        return self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return arguments[0] if arguments and type(arguments[0]).__name__ == "function" else self


@pytest.mark.slow
def test_what_modal_serves_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modal", Modal())
    script = runpy.run_path(SCRIPT)
    with TestClient(script["serve"]()) as client:
        assert client.get("/health").json()["pipeline_loaded"] is True
        answer = client.post("/api/generate-video", json={"prompt": "", "num_frames": 13})
        assert answer.json()["num_frames"] == 13


def test_without_modal_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modal", None)
    with pytest.raises(SystemExit, match="pip install modal"):
        runpy.run_path(SCRIPT)
