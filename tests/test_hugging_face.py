"""What an operator hears when the real hub does not answer."""

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import DryRunError

from worldplay.download import Source, reach_hugging_face

SOURCE = Source("tencent/HY-WorldPlay", ("ar_model/*",), "HY-WorldPlay")


def test_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise DryRunError("Dry run cannot be performed") from ConnectionError("no route to host\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    expected = (
        r"huggingface.co/tencent/HY-WorldPlay could not be reached \(no route to host\); .* run the command"
    )
    with pytest.raises(OSError, match=expected):
        reach_hugging_face(SOURCE, tmp_path, preview=True)
