"""Which parts of a walk belong together, although several servers may have written to it.

Whoever goes on with a walk from the store claims it first. A claim is an empty file whose name says which
parts were there: all that the writer before it had written so far. What that writer writes afterwards does
not count. So the newest claim wins, and a walk is never put together from two. If a part turns out to be
damaged, the claim is made again with less before it.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FIRST_WRITER = ""  # has claimed nothing: it made the walk
PART = ".safetensors"
_EPOCH_DIGITS = 8
_PART_NAME = re.compile(r"(?:(\d{8}[0-9a-f]{8})-)?(\d{8})\.safetensors")
_CLAIM_NAME = re.compile(r"(\d{8}[0-9a-f]{8})\.(\d{8}[0-9a-f]{8})?\.(-?\d+)\.claim")


@dataclass(frozen=True, slots=True)
class Claim:
    """A writer's claim: it goes on behind part `last` of the writer before it; -1: there was none."""

    writer: str
    before: str
    last: int

    @property
    def name(self) -> str:
        return f"{self.writer}.{self.before}.{self.last}.claim"


def is_of_chain(name: str) -> bool:
    """Return whether a file of this name is a part of a walk or a claim on it."""
    return _PART_NAME.fullmatch(name) is not None or _CLAIM_NAME.fullmatch(name) is not None


def name_part(writer: str, number: int) -> str:
    return f"{writer}-{number:08d}{PART}" if writer else f"{number:08d}{PART}"


def make_claim(names: Iterable[str]) -> Claim:
    """Make a claim on the walk whose files have these names."""
    names = list(names)
    before = find_newest(names)
    epoch = int(before[:_EPOCH_DIGITS] or 0) + 1
    last = max(_parts_by_writer(names).get(before, {}), default=-1)
    return Claim(f"{epoch:0{_EPOCH_DIGITS}d}{secrets.token_hex(4)}", before, last)


def shorten_claim(names: Iterable[str], whole: Sequence[str]) -> Claim:
    """Make the newest claim again, so that no more than the parts `whole` are before it."""
    match = _PART_NAME.fullmatch(whole[-1])
    assert match is not None, "a part"
    return Claim(find_newest(names), match[1] or FIRST_WRITER, int(match[2]))


def find_newest(names: Iterable[str]) -> str:
    """Return the writer whose claim is the newest."""
    return max(_claims(names), default=FIRST_WRITER)


def list_parts(names: Iterable[str]) -> list[str]:
    """Return the names of the parts that make up the walk, in their order."""
    names = list(names)
    claims, parts = _claims(names), _parts_by_writer(names)
    writer, found = find_newest(names), list[str]()
    last: int | None = None  # of this writer's parts; None: all count
    while True:
        own = parts.get(writer, {})
        found = [own[number] for number in sorted(own) if last is None or number <= last] + found
        claim = claims.get(writer)
        if claim is None or claim.before >= writer:
            return found
        writer, last = claim.before, claim.last


def _claims(names: Iterable[str]) -> dict[str, Claim]:
    """Return each writer's claim. One that was made again has the least before it."""
    matches = filter(None, map(_CLAIM_NAME.fullmatch, names))
    claims = [Claim(match[1], match[2] or FIRST_WRITER, int(match[3])) for match in matches]
    return {claim.writer: claim for claim in sorted(claims, key=_before, reverse=True)}


def _before(claim: Claim) -> tuple[str, int]:
    return claim.before, claim.last


def _parts_by_writer(names: Iterable[str]) -> dict[str, dict[int, str]]:
    parts: dict[str, dict[int, str]] = {}
    for match in filter(None, map(_PART_NAME.fullmatch, names)):
        parts.setdefault(match[1] or FIRST_WRITER, {})[int(match[2])] = match[0]
    return parts
