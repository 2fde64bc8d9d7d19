"""Formats outcomes as Markdown."""

from collections.abc import Iterator, Sequence

from gpu.setup import Outcome, Row


def render(outcomes: Sequence[Outcome]) -> str:
    """Make a section for each measurement, including those that failed."""
    return "\n".join(line for outcome in outcomes for line in _section(outcome))


def _section(outcome: Outcome) -> Iterator[str]:
    yield f"## {outcome.name}, {outcome.size}"
    yield ""
    if outcome.status != "ok":
        yield f"**{outcome.status}** after {outcome.seconds:.0f} s. {outcome.detail}".rstrip()
        yield ""
    if not outcome.rows:
        return
    columns = list(dict.fromkeys(name for row in outcome.rows for name in row))
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in outcome.rows:
        yield f"| {' | '.join(_cell(row, name) for name in columns)} |"
    yield ""


def _cell(row: Row, name: str) -> str:
    value = row.get(name, "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
