"""Prompts that a world suggests to its visitors."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A prompt under a short name."""

    title: str
    prompt: str


# One for each of the courtyard's lights; the first is what it looks like without a prompt.
COURT_SUGGESTIONS = (
    Suggestion("Day", "a courtyard on a sunny day"),
    Suggestion("Dusk", "the courtyard at dusk"),
    Suggestion("Night", "the courtyard at night"),
    Suggestion("Snow", "the courtyard in snow"),
)
