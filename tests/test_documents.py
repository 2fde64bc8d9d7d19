"""The documents: what they link to is there."""

import re
from collections import Counter
from pathlib import Path

import pytest

from support.paths import REPOSITORY

DOCUMENTS = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
_LINK = re.compile(r"\]\((?!https?:|mailto:|ws:)([^)\s]*)\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def find_anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    anchors: Counter[str] = Counter()
    for title in re.findall(r"^#+ (.+)$", _CODE.sub("", path.read_text()), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        anchors[words] += 1
    return {f"{words}-{n}" if n else words for words, count in anchors.items() for n in range(count)}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_links_of_a_document_lead_somewhere(path: Path) -> None:
    broken = []
    for link in _LINK.findall(_CODE.sub("", path.read_text())):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        is_known = not anchor or target.suffix != ".md" or anchor in find_anchors(target)
        if not target.exists() or not is_known:
            broken.append(link)
    assert broken == []
