"""Parts that several servers wrote: which of them are the walk."""

from worldplay.store.chain import (
    FIRST_WRITER,
    Claim,
    find_newest,
    list_parts,
    make_claim,
    name_part,
    shorten_claim,
)


def write(names: list[str], writer: str, *numbers: int) -> None:
    names += [name_part(writer, number) for number in numbers]


def claim(names: list[str]) -> str:
    made = make_claim(names)
    names.append(made.name)
    return made.writer


def test_parts_come_in_order() -> None:
    names = [name_part(FIRST_WRITER, number) for number in (2, 10, 0, 1)]
    assert list_parts(["about.json", *names]) == [name_part(FIRST_WRITER, number) for number in (0, 1, 2, 10)]


def test_what_an_earlier_writer_writes_after_a_claim_does_not_count() -> None:
    names: list[str] = []
    write(names, FIRST_WRITER, 0, 1)
    second = claim(names)
    write(names, FIRST_WRITER, 2, 3)
    write(names, second, 0)
    assert list_parts(names) == [name_part(FIRST_WRITER, 0), name_part(FIRST_WRITER, 1), name_part(second, 0)]
    assert find_newest(names) == second


def test_claims_follow_each_other() -> None:
    names: list[str] = []
    write(names, FIRST_WRITER, 0)
    second = claim(names)
    write(names, second, 0, 1)
    third = claim(names)
    write(names, second, 2)
    assert list_parts(names) == [name_part(FIRST_WRITER, 0), name_part(second, 0), name_part(second, 1)]
    write(names, third, 0)
    assert list_parts(names)[-1] == name_part(third, 0)


def test_one_of_two_claims_at_once_wins_everywhere() -> None:
    names: list[str] = []
    write(names, FIRST_WRITER, 0)
    claims = [make_claim(names) for _ in range(2)]
    names += [each.name for each in claims]
    for each in claims:
        write(names, each.writer, 0, 1)
    winner = max(each.writer for each in claims)
    parts = [name_part(FIRST_WRITER, 0), name_part(winner, 0), name_part(winner, 1)]
    assert list_parts(names) == list_parts(reversed(names)) == parts


def test_writer_that_has_written_nothing_changes_nothing() -> None:
    names: list[str] = []
    write(names, FIRST_WRITER, 0, 1)
    claim(names)
    claim(names)
    assert list_parts(names) == [name_part(FIRST_WRITER, 0), name_part(FIRST_WRITER, 1)]


def test_what_a_claim_leaves_out_later_does_not_count() -> None:
    names: list[str] = []
    write(names, FIRST_WRITER, 0, 1, 2)
    second = claim(names)
    write(names, second, 0, 1)
    third = claim(names)
    assert shorten_claim(names, list_parts(names)[:4]) == Claim(third, second, 0)
    shorter = shorten_claim(names, list_parts(names)[:2])
    assert shorter == Claim(third, FIRST_WRITER, 1)
    for order in ([*names, shorter.name], [shorter.name, *names]):
        assert list_parts(order) == [name_part(FIRST_WRITER, 0), name_part(FIRST_WRITER, 1)]
        assert find_newest(order) == third


def test_other_files_are_none_of_it() -> None:
    assert list_parts(["about.json", "00000000.safetensors.part", "x.claim", "00000000.safetensors"]) == [
        "00000000.safetensors"
    ]
