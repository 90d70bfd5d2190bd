"""The recorded histories of a run: JSON lines that each actor wrote to a file of its own.

This module knows the format only. It imports nothing of the code under test.

Every line has `kind`, `n` (a counter of its file that only grows) and `at` (wall time, seconds). The files:

- `client-*.jsonl`: `invoke`, then `ok`, `fail` (the request had no effect) or `info` (the outcome is unknown), each
  with the `key` of the operation; `ok` has `group` and `sequence` of the event that the answer reports.
- `broker-*.jsonl`: `accepted`, for each entry in the order in which the broker accepted them.
- `returned-*.jsonl`: `returned`, for each event in a message of the publish check that the broker handed out.
- `committed.jsonl`, `effects.jsonl`, `unresolved.jsonl`: the rows of the databases after the run, in the order of their
  ids.
- `run.jsonl`: `fault` and `recovered` (begin and end of the fault), `drained`, `reported` (a place that showed the
  fault), `disclosed` (a place that showed something confidential, and what), and at most one `expectations`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

Row = TypeVar("Row")


class InvalidHistory(Exception):
    """A file of the histories is missing, cut off or out of order."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A request of a client and its outcome."""

    key: str
    outcome: str
    """`ok`, `fail` or `info`."""
    group: str | None = None
    sequence: int | None = None
    at: float = 0.0
    """When the client learned the outcome."""


@dataclass(frozen=True, slots=True)
class Committed:
    """An event in the outbox of the publisher."""

    group: str
    sequence: int
    event: str
    hash: str
    key: str | None = None
    """The operation that it came from."""
    published: bool = False
    """Whether the publisher counts it as published."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An entry that the broker accepted."""

    group: str
    sequence: int
    event: str
    hash: str


@dataclass(frozen=True, slots=True)
class Effect:
    """A row that a handler wrote; the table has no unique constraint, which would hide duplicates."""

    group: str
    sequence: int
    event: str
    hash: str
    stale: bool
    at: float


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An event that a person can see and resolve: held in the outbox, deferred, or a dead letter."""

    event: str
    where: str


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the fault is allowed to cause."""

    stale: bool = False
    """Effects out of order, marked as stale."""
    unresolved: bool = False
    """Events that wait for a person."""
    reported: bool = True
    """Whether something has to report the fault."""
    progress: bool = True
    """Whether effects have to appear while the fault lasts."""
    orders: bool = True
    """Whether requests of clients have to succeed while the fault lasts."""
    quiet: bool = False
    """Whether nothing may be reported: a run without a fault."""
    drain_seconds: float = 60.0
    """The longest time from the end of the fault until everything is processed."""


@dataclass(frozen=True)
class History:
    """All that is known of one run."""

    operations: list[Operation]
    committed: list[Committed]
    accepted: list[Accepted]
    effects: list[Effect]
    unresolved: list[Unresolved] = field(default_factory=list)
    returned: frozenset[str] = frozenset()
    """The events that came back through the publish check."""
    expectations: Expectations = field(default_factory=Expectations)
    fault_at: float | None = None
    recovered_at: float | None = None
    drained_at: float | None = None
    reported: tuple[str, ...] = ()
    disclosed: tuple[str, ...] = ()


def read(folder: Path) -> History:
    """The history in a folder. Raises InvalidHistory."""
    run = list(_lines(folder / "run.jsonl"))
    moments = {line["kind"]: line["at"] for line in run if line["kind"] in ("fault", "recovered", "drained")}
    given = next((line for line in run if line["kind"] == "expectations"), {})
    return History(
        operations=list(_operations(folder)),
        committed=_rows(Committed, _lines(folder / "committed.jsonl")),
        accepted=[row for path in sorted(folder.glob("broker-*.jsonl")) for row in _rows(Accepted, _lines(path))],
        effects=_rows(Effect, _lines(folder / "effects.jsonl")),
        unresolved=_rows(Unresolved, _lines(folder / "unresolved.jsonl")),
        returned=frozenset(line["event"] for path in folder.glob("returned-*.jsonl") for line in _lines(path)),
        expectations=_row(Expectations, given),
        fault_at=moments.get("fault"),
        recovered_at=moments.get("recovered"),
        drained_at=moments.get("drained"),
        reported=tuple(line["where"] for line in run if line["kind"] == "reported"),
        disclosed=tuple(line["where"] for line in run if line["kind"] == "disclosed"),
    )


def _operations(folder: Path) -> Iterator[Operation]:
    paths = sorted(folder.glob("client-*.jsonl"))
    if not paths:
        raise InvalidHistory(f"{folder} has no history of a client (client-*.jsonl)")
    for path in paths:
        open_keys: set[str] = set()
        for line in _lines(path):
            if line["kind"] == "invoke":
                open_keys.add(line["key"])
                continue
            if line["key"] not in open_keys:
                raise InvalidHistory(f"{path}: line {line['n']} ends an operation that was not invoked")
            open_keys.discard(line["key"])
            yield Operation(line["key"], line["kind"], line.get("group"), line.get("sequence"), line["at"])
        for key in sorted(open_keys):  # the client ended first: nobody knows what became of it
            yield Operation(key, "info")


def _rows(kind: type[Row], lines: Iterable[dict[str, Any]]) -> list[Row]:
    return [_row(kind, line) for line in lines]


def _row(kind: type[Row], line: dict[str, Any]) -> Row:
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in line.items() if name in names})


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        raise InvalidHistory(f"{path} is missing: the run did not finish")
    last = 0
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        try:
            line: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise InvalidHistory(f"{path}, line {number} is no JSON: {error}") from None
        if line["n"] <= last:
            raise InvalidHistory(f"{path}, line {number}: the counter went from {last} to {line['n']}")
        last = line["n"]
        yield line
