"""Looks for what is confidential in everything that a run leaves behind: logs of processes and servers, histories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.faults.workload import CANARY

DATABASE_PASSWORD = "hush-3f9a-database"
AWS_SECRET = "hush-3f9a-aws"
CONFIDENTIAL = {
    "what a customer wrote": CANARY,
    "the password of a database": DATABASE_PASSWORD,
    "the secret key of AWS": AWS_SECRET,
}
"""The processes get these secrets, although the servers of the suite ask for none."""
WRITTEN = {".log", ".json", ".jsonl", ".txt"}


def with_password(url: str) -> str:
    """The URL of a database with the password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace("@", f":{DATABASE_PASSWORD}@", 1)))


def confidential(text: str) -> list[str]:
    """What a text shows of it, in words."""
    return [what for what, value in CONFIDENTIAL.items() if value in text]


class Artefacts:
    """The files of folders, from where they end now; a file may also be named by itself."""

    def __init__(self, places: Iterable[Path]) -> None:
        self._places = list(places)
        self._ends = {path: path.stat().st_size for path in self._files()}

    def disclosing(self) -> Iterator[str]:
        """Each file that shows something in what was added since then, and what it shows."""
        for path in self._files():
            begin = self._ends.get(path, 0)
            with path.open("rb") as file:
                if begin <= path.stat().st_size:  # else it was recreated
                    file.seek(begin)
                text = file.read().decode(errors="replace")
            yield from (f"{path.name}: {what}" for what in confidential(text))

    def _files(self) -> Iterator[Path]:
        for place in self._places:
            found = sorted(place.iterdir()) if place.is_dir() else [place]
            yield from (path for path in found if path.suffix in WRITTEN and path.is_file())
