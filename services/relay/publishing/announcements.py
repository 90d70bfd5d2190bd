"""The groups whose change was announced and that were not read since, in the order of their commits."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

# More are not remembered; then everything is read.
MOST = 5000


class Announcements:
    """Announced groups, each once, at its first announcement."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._subjects: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._subjects)

    def add(self, subjects: Iterable[str]) -> bool:
        """Add groups; False, and nothing is remembered, if there are too many: then everything must be read."""
        self._subjects.update(dict.fromkeys(subjects))
        if len(self._subjects) <= self._most:
            return True
        self._subjects.clear()
        return False

    def take(self, count: int | None) -> list[str]:
        """Take the groups that were announced first, or all of them."""
        taken = list(islice(self._subjects, count))
        for subject in taken:
            del self._subjects[subject]
        return taken

    def clear(self) -> None:
        """Forget all groups."""
        self._subjects.clear()
