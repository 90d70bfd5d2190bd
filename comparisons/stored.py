"""The results as files, one for each part, so that a line can be run again without the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from comparisons.contract import LineResult

FOLDER = "parts"
SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True)
class LineConditions:
    """Under which circumstances a line was run."""

    command: str
    revision: str
    seed: int
    machine: str
    versions: tuple[tuple[str, str], ...]
    """Names and versions of what took part."""


@dataclass(frozen=True)
class StoredLine:
    """What the last run of a line found, and under which conditions."""

    conditions: LineConditions
    result: LineResult


LINES: TypeAdapter[dict[str, StoredLine]] = TypeAdapter(dict[str, StoredLine])


def store(folder: Path, part: str, lines: Mapping[str, StoredLine]) -> None:
    """Write these lines of a part, over earlier results of the same lines."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    content = LINES.dump_python({**read(folder, part), **lines}, mode="json")
    rows = (f"{json.dumps(key)}: {_text(content[key])}" for key in sorted(content))
    _path(folder, part).write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def read(folder: Path, part: str) -> dict[str, StoredLine]:
    """The stored lines of a part, by their keys."""
    path = _path(folder, part)
    return LINES.validate_json(path.read_bytes()) if path.exists() else {}


def _path(folder: Path, part: str) -> Path:
    return folder / FOLDER / f"{part}.json"


def _text(line: dict[str, Any]) -> str:
    """JSON with a text line for each thing found, so that a difference can be read."""
    found = [f'  "{name}": {json.dumps(_rounded(value), ensure_ascii=False)}' for name, value in line["result"].items()]
    conditions = json.dumps(line["conditions"], ensure_ascii=False)
    return f'{{\n "conditions": {conditions},\n "result": {{\n' + ",\n".join(found) + "\n }}"


def _rounded(value: Any) -> Any:
    """Floats with as many digits as a measurement has."""
    match value:
        case float():
            return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
        case dict():
            return {name: _rounded(each) for name, each in value.items()}
        case list():
            return [_rounded(each) for each in value]
        case _:
            return value
