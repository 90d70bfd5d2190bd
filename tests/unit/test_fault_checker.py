"""The checker of fault runs finds each kind of false history, and nothing in a correct one."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from tests.faults.checker.histories import (
    Accepted,
    Committed,
    Effect,
    Expectations,
    History,
    InvalidHistory,
    Operation,
    Unresolved,
    read,
)
from tests.faults.checker.rules import check

Row = TypeVar("Row")
PLACES = [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)]


def name(group: str, sequence: int) -> str:
    return f"{group}{sequence}"


def correct() -> History:
    """A run in which nothing went wrong."""
    return History(
        operations=[Operation(f"key-{name(*place)}", "ok", *place, 10.0 + n) for n, place in enumerate(PLACES)],
        committed=[
            Committed(*place, name(*place), f"#{name(*place)}", f"key-{name(*place)}", published=True)
            for place in PLACES
        ],
        accepted=[Accepted(*place, name(*place), f"#{name(*place)}") for place in PLACES],
        effects=[
            Effect(*place, name(*place), f"#{name(*place)}", stale=False, at=10.0 + number)
            for number, place in enumerate(PLACES)
        ],
        returned=frozenset(name(*place) for place in PLACES),
        fault_at=10.0,
        recovered_at=14.0,
        drained_at=20.0,
        reported=("readiness",),
    )


def swapped(rows: list[Row], one: int, other: int) -> list[Row]:
    rows = list(rows)
    rows[one], rows[other] = rows[other], rows[one]
    return rows


Falsify = Callable[[History], History]

FALSE: dict[str, tuple[str, Falsify]] = {
    "an effect is missing": ("lost", lambda h: replace(h, effects=h.effects[:-1])),
    "an acknowledged order is not committed": (
        "lost",
        lambda h: replace(h, operations=[*h.operations, Operation("key-z", "ok", "z", 1)]),
    ),
    "an effect of nothing": (
        "unexpected",
        lambda h: replace(h, effects=[*h.effects, Effect("c", 1, "c1", "#c1", stale=False, at=15.0)]),
    ),
    "something was sent that was never committed": (
        "unexpected",
        lambda h: replace(h, accepted=[*h.accepted, Accepted("c", 1, "c1", "#c1")]),
    ),
    "a failed request committed an event": (
        "unexpected",
        lambda h: replace(h, operations=[replace(h.operations[0], outcome="fail"), *h.operations[1:]]),
    ),
    "an effect twice": ("duplicate", lambda h: replace(h, effects=[*h.effects, replace(h.effects[-1], at=16.0)])),
    "a retried request committed twice": (
        "duplicate",
        lambda h: replace(h, committed=[*h.committed, replace(h.committed[-1], sequence=4, event="a4")]),
    ),
    "effects of a group out of order": ("reordered", lambda h: replace(h, effects=swapped(h.effects, 0, 2))),
    "a late effect is not excused": (
        "reordered",
        lambda h: replace(h, effects=[*h.effects[1:], replace(h.effects[0], stale=True)]),
    ),
    "a punctual effect is marked as late": (
        "reordered",
        lambda h: replace(
            h, effects=[replace(h.effects[0], stale=True), *h.effects[1:]], expectations=Expectations(stale=True)
        ),
    ),
    "the committed sequence has a gap": (
        "reordered",
        lambda h: replace(h, committed=[replace(e, sequence=4) if e.event == "a3" else e for e in h.committed]),
    ),
    "the broker accepted a group out of order": (
        "sent out of order",
        lambda h: replace(h, accepted=swapped(h.accepted, 0, 4)),
    ),
    "a payload was changed on the way": (
        "changed",
        lambda h: replace(h, effects=[replace(h.effects[0], hash="#?"), *h.effects[1:]]),
    ),
    "a payload was sent changed": (
        "changed",
        lambda h: replace(h, accepted=[replace(h.accepted[0], hash="#?"), *h.accepted[1:]]),
    ),
    "it never drained": ("stuck", lambda h: replace(h, drained_at=None)),
    "it drained too late": ("stuck", lambda h: replace(h, drained_at=80.0)),
    "an event waits for a person": ("stuck", lambda h: replace(h, unresolved=[Unresolved("a3", "dead letters")])),
    "nothing went on during the fault": (
        "stalled",
        lambda h: replace(h, effects=[replace(effect, at=19.0) for effect in h.effects]),
    ),
    "no order was taken during the fault": (
        "refused",
        lambda h: replace(h, operations=[replace(operation, at=15.0) for operation in h.operations]),
    ),
    "an event counts as published and never came back": (
        "unproven",
        lambda h: replace(h, returned=h.returned - {"a3"}),
    ),
    "something was reported without a fault": (
        "false alarm",
        lambda h: replace(h, expectations=Expectations(reported=False, quiet=True)),
    ),
    "a log shows what a customer wrote": ("disclosed", lambda h: replace(h, disclosed=("order-1.log",))),
    "nothing showed the fault": ("silent", lambda h: replace(h, reported=())),
    "nothing was asked": (
        "empty",
        lambda h: replace(h, operations=[replace(operation, outcome="info") for operation in h.operations]),
    ),
    "the proxy saw nothing": ("empty", lambda h: replace(h, accepted=[])),
}


def test_a_correct_history_has_no_violation() -> None:
    assert check(correct()) == []


@pytest.mark.parametrize("what", FALSE)
def test_a_false_history_is_found(what: str) -> None:
    kind, falsify = FALSE[what]
    assert kind in {violation.kind for violation in check(falsify(correct()))}


def test_repetitions_by_the_broker_are_no_violation() -> None:
    history = correct()
    assert check(replace(history, accepted=[*history.accepted, history.accepted[0]])) == []


def test_an_unknown_outcome_may_have_been_committed_or_not() -> None:
    history = correct()
    unknown = [replace(history.operations[0], outcome="info"), *history.operations[1:], Operation("key-z", "info")]
    assert check(replace(history, operations=unknown)) == []


def test_a_late_effect_that_the_fault_excuses_is_no_violation() -> None:
    history = correct()
    late = [history.effects[1], history.effects[2], replace(history.effects[0], stale=True), *history.effects[3:]]
    assert check(replace(history, effects=late, expectations=Expectations(stale=True))) == []


def test_a_unresolved_event_is_not_lost() -> None:
    history = correct()
    unresolved = replace(history, effects=history.effects[:-1], unresolved=[Unresolved("a3", "dead letters")])
    assert [violation.kind for violation in check(unresolved)] == ["stuck"]
    assert check(replace(unresolved, expectations=Expectations(unresolved=True))) == []


def write(path: Path, *lines: dict[str, object]) -> None:
    path.write_text("".join(json.dumps({"n": n, "at": 10.0 + n, **line}) + "\n" for n, line in enumerate(lines, 1)))


def recorded(folder: Path) -> Path:
    """The files of a short run."""
    event = {"kind": "row", "group": "a", "sequence": 1, "event": "a1", "hash": "#a1"}
    write(
        folder / "client-1.jsonl",
        {"kind": "invoke", "key": "key-a1"},
        {"kind": "ok", "key": "key-a1", "group": "a", "sequence": 1},
    )
    write(folder / "broker-1.jsonl", event)
    write(folder / "returned-1.jsonl", event)
    write(folder / "committed.jsonl", {**event, "key": "key-a1", "published": True})
    write(folder / "effects.jsonl", {**event, "stale": False})
    write(folder / "unresolved.jsonl")
    write(
        folder / "run.jsonl",
        {"kind": "expectations", "drain_seconds": 5.0},
        {"kind": "fault", "at": 10.5},
        {"kind": "reported", "where": "log"},
        {"kind": "recovered", "at": 12.0},
        {"kind": "drained", "at": 13.0},
    )
    return folder


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.faults.checker.main", str(folder)]
    return subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)


def test_the_program_reads_the_files_of_a_run(tmp_path: Path) -> None:
    done = run(recorded(tmp_path))
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, []), done.stderr
    assert done.stdout.startswith("1 requests succeeded")


def test_the_program_reports_a_violation(tmp_path: Path) -> None:
    recorded(tmp_path)
    write(tmp_path / "effects.jsonl")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "lost: a/1 was committed and has no effect" in done.stdout


@pytest.mark.parametrize("missing", ["run.jsonl", "effects.jsonl", "committed.jsonl", "client-1.jsonl"])
def test_an_incomplete_recording_is_rejected(tmp_path: Path, missing: str) -> None:
    (recorded(tmp_path) / missing).unlink()
    assert run(tmp_path).returncode == 2


def test_a_repeated_line_is_rejected(tmp_path: Path) -> None:
    path = recorded(tmp_path) / "effects.jsonl"
    path.write_text(path.read_text() * 2)
    with pytest.raises(InvalidHistory, match="counter"):
        read(tmp_path)


def test_an_operation_that_did_not_end_has_an_unknown_outcome(tmp_path: Path) -> None:
    write(recorded(tmp_path) / "client-2.jsonl", {"kind": "invoke", "key": "key-b1"})
    assert Operation("key-b1", "info") in read(tmp_path).operations
