"""Writes the histories that the checker reads: JSON lines with a counter that only grows, and wall time."""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class Recorder:
    """Appends to the file of one actor. Each line is flushed, so that a killed process loses no line that it wrote."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._n = 0

    def write(self, kind: str, **facts: object) -> None:
        """Append a line."""
        self._n += 1
        line = {"n": self._n, "at": time.time(), "kind": kind, **facts}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_rows(path: Path, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a file from rows; a row may have its own `at`."""
    recorder = Recorder(path)
    for row in rows:
        recorder.write(kind, **row)
    recorder.close()
