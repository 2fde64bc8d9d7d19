"""Claims that cannot be written: the walk goes on, and they are written before its next part."""

import errno
from pathlib import Path

import pytest

from worldplay.store.chain import list_parts, name_part
from worldplay.store.claims import Claims
from worldplay.store.files import Files
from worldplay.store.parts import list_names

WALK = "a-walk-of-somebody"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    files = Files(str(tmp_path))
    for number in range(3):
        files.write(f"{WALK}/{name_part('', number)}", b"")
    return files


def names(files: Files) -> list[str]:
    return list_names(files, WALK)


def claim_in_vain(files: Files, claims: Claims) -> str:
    with pytest.MonkeyPatch.context() as context:
        context.setattr(files, "write", _fail)
        return claims.make(WALK, names(files))


def _fail(*arguments: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def test_claim_is_written_before_the_next_part(files: Files) -> None:
    claims = Claims(files)
    writer = claim_in_vain(files, claims)
    assert len(names(files)) == 3
    files.write(f"{WALK}/{name_part('', 3)}", b"")  # by the writer before, which knows nothing
    claims.settle(WALK, writer)
    files.write(f"{WALK}/{name_part(writer, 0)}", b"")
    assert list_parts(names(files)) == [*(name_part("", number) for number in range(3)), name_part(writer, 0)]
    assert claims.newest_known(WALK, writer) == writer


def test_claim_that_came_too_late_is_never_written(files: Files) -> None:
    claims = Claims(files)
    writer = claim_in_vain(files, claims)
    assert claims.newest_known(WALK, writer) == ""
    later = Claims(files).make(WALK, names(files))
    with pytest.raises(OSError, match="goes on on another server"):
        claims.settle(WALK, writer)
    assert claims.newest_known(WALK, writer) < later
    assert not any(name.startswith(writer) for name in names(files))


def test_claim_that_is_not_written_yet_leaves_damaged_parts_out(files: Files) -> None:
    claims = Claims(files)
    writer = claim_in_vain(files, claims)
    claims.shorten(WALK, names(files), [name_part("", 0)])
    files.write(f"{WALK}/{name_part(writer, 0)}", b"")
    assert list_parts(names(files)) == [name_part("", 0), name_part(writer, 0)]
    claims.settle(WALK, writer)
    assert list_parts(names(files)) == [name_part("", 0), name_part(writer, 0)]


def test_claim_of_a_walk_that_cannot_go_on_is_used_again(files: Files) -> None:
    """A walk that cannot be opened here may be asked for again and again."""
    claims = Claims(files)
    writer = claims.make(WALK, names(files))
    for _ in range(5):
        claims.give_up(WALK, writer)
        assert claims.make(WALK, names(files)) == writer
    assert len(names(files)) == 4
    assert claims.make(WALK, names(files)) > writer


def test_claim_that_was_given_up_is_not_used_after_that_of_another_server(files: Files) -> None:
    claims = Claims(files)
    claims.give_up(WALK, claims.make(WALK, names(files)))
    other = Claims(files).make(WALK, names(files))
    assert claims.make(WALK, names(files)) > other
