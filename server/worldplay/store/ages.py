"""For how long walks are kept, by what is known of their age."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from worldplay.store.about import About
from worldplay.store.files import Entry


@dataclass(frozen=True, slots=True)
class Ages:
    """How long bookmarks and other walks are kept, and after which silence a walk counts as left."""

    keep_s: float
    live_s: float
    silent_s: float

    def times(
        self, about: About | None, entries: Sequence[Entry], is_bookmark: bool
    ) -> tuple[float, float, float]:
        """Return (changed_s, live_until_s, kept_until_s), for a walk that does not change again."""
        changed_s, longest_s = max(entry.changed_s for entry in entries), max(self.keep_s, self.live_s)
        if not changed_s:  # the file system does not say
            created_s = 0.0 if about is None else about.created_s
            end_s = created_s + longest_s if created_s else math.inf
            return created_s, end_s, end_s
        if is_bookmark:
            return changed_s, changed_s, changed_s + (longest_s if about is None else self.keep_s)
        return changed_s, changed_s + self.silent_s, changed_s + self.live_s
