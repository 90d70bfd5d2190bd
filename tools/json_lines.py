"""Results in a file, one JSON object a line, which outlive an interrupted run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class UnreadableFile(Exception):
    """The file has other content; the message names the line, and what to do."""


def append(file: Path, record: Mapping[str, Any]) -> None:
    """Add a record, in a line of its own also when the last line was cut off."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as lines:
        if lines.tell():
            lines.seek(-1, os.SEEK_END)
            if lines.read(1) != b"\n":
                lines.write(b"\n")
        lines.write(json.dumps(record).encode() + b"\n")


def read(file: Path) -> list[dict[str, Any]]:
    """All records; none if the file does not exist. A line that was cut off is left out. Raises UnreadableFile."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            if line.startswith('{"') and not line.endswith("}"):
                continue
            record = None
        if not isinstance(record, dict):
            raise UnreadableFile(f"{file}, line {number} is not a result. Remove the line, or use another file.")
        found.append(record)
    return found
