"""The results of measurements, as JSON and as Markdown."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

RESULTS = "results.json"

Row = dict[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Report:
    """A section: the method, a table of rows, the findings, and all the numbers."""

    title: str
    method: str
    rows: list[Row]
    findings: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def merge(path: Path, about: Mapping[str, Any], name: str, report: Report) -> dict[str, Any]:
    """Put a section into a results file, replacing an older one. Returns: the whole content."""
    results = read_results(path)
    results["sections"][name] = {**asdict(report), "about": dict(about)}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=1) + "\n")
    partial.rename(path)
    return results


def read_results(path: Path) -> dict[str, Any]:
    """Read earlier results. Raises: ValueError naming the file if it does not hold results."""
    if not path.exists():
        return {"sections": {}}
    try:
        results: dict[str, Any] | None = json.loads(path.read_text())
    except ValueError:
        results = None
    if results is None or not _are_results(results):
        raise ValueError(f"{path} does not hold results: remove it or take another folder")
    return results


def _are_results(content: object) -> bool:
    """Return whether every section has the fields of a report."""
    sections = content.get("sections") if isinstance(content, dict) else None
    if not isinstance(sections, dict):
        return False
    wanted = {field.name for field in fields(Report)} | {"about"}
    return all(isinstance(section, dict) and wanted <= section.keys() for section in sections.values())


def render(results: Mapping[str, Any], order: tuple[str, ...]) -> str:
    """Format results as Markdown, with the sections in this order."""
    sections = [results["sections"][name] for name in order if name in results["sections"]]
    return "\n".join(line for section in sections for line in _section(section))


def _section(section: Mapping[str, Any]) -> Iterator[str]:
    about = ", ".join(f"{key} {value}" for key, value in section["about"].items())
    yield f"### {section['title']}"
    yield ""
    yield f"{section['method']} ({about})"
    yield ""
    columns = list(dict.fromkeys(name for row in section["rows"] for name in row))
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in section["rows"]:
        yield f"| {' | '.join(_cell(row.get(name)) for name in columns)} |"
    yield ""
    for finding in section["findings"]:
        yield f"* {finding}"
    if section["findings"]:
        yield ""


def _cell(value: str | int | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:#.3g}"
    return str(value)
