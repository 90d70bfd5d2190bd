"""The results as files, one for each part, so that a part can be measured again without the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.suite.results import Section

FOLDER = "parts"
SIGNIFICANT_DIGITS = 5
SECTION: TypeAdapter[Section] = TypeAdapter(Section)


@dataclass(frozen=True)
class Conditions:
    """Under which circumstances a part was measured."""

    command: str
    revision: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class StoredPart:
    """What one part found, and under which conditions."""

    part: str
    conditions: Conditions
    section: Section


class UnreadablePart(Exception):
    """The file of a part has other content; the message says what to do."""


def store(folder: Path, stored: StoredPart) -> Path:
    """Write a part, over an earlier result of the same part."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    path = folder / FOLDER / f"{stored.part}.json"
    conditions = {
        "command": stored.conditions.command,
        "revision": stored.conditions.revision,
        "lines": list(stored.conditions.lines),
    }
    content = {"conditions": conditions, "section": _rounded(SECTION.dump_python(stored.section))}
    written = path.with_suffix(".new")
    written.write_text(_text(content) + "\n", encoding="utf-8")
    return written.replace(path)


def read(folder: Path, order: Sequence[str]) -> list[StoredPart]:
    """All parts that were stored, in this order; parts that are not in it are left out."""
    return [_read(path, part) for part in order if (path := folder / FOLDER / f"{part}.json").exists()]


def _read(path: Path, part: str) -> StoredPart:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UnreadablePart(f"{path} is not a stored part. Measure the part again, or remove the file.") from None
    given = content["conditions"]
    conditions = Conditions(given["command"], given["revision"], tuple(given["lines"]))
    return StoredPart(part, conditions, SECTION.validate_python(content["section"]))


def _rounded(value: Any) -> Any:
    """Floats with as many digits as a measurement has."""
    match value:
        case float():
            return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
        case dict():
            return {name: _rounded(each) for name, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case _:
            return value


def _text(content: dict[str, Any]) -> str:
    """JSON with a line for each thing found, so that a difference can be read."""
    lines = ["{", f'"conditions": {json.dumps(content["conditions"], ensure_ascii=False, indent=1)},', '"section": {']
    parts = []
    for name, value in content["section"].items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(each, ensure_ascii=False) for each in value)
            parts.append(f'"{name}": [\n{rows}\n]' if value else f'"{name}": []')
        else:
            parts.append(f'"{name}": {json.dumps(value, ensure_ascii=False)}')
    return "\n".join([*lines, ",\n".join(parts), "}", "}"])
