"""The promises as rules over a history. Each rule is a function that returns the violations it finds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias, TypeVar

from tests.faults.checker.histories import Accepted, Committed, Effect, History


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


LONG_ENOUGH_SECONDS = 2.0
"""In a shorter fault, no request may have ended by chance."""

_Row = TypeVar("_Row", Accepted, Committed, Effect)
Rule: TypeAlias = Callable[[History], Iterable[Violation]]


def lost(history: History) -> Iterator[Violation]:
    """Every acknowledged or committed event has an effect, or is unresolved where a person sees it."""
    places = {(event.group, event.sequence) for event in history.committed}
    for operation in history.operations:
        if operation.outcome == "ok" and (operation.group, operation.sequence) not in places:
            yield Violation(
                "lost", f"{operation.key} was acknowledged, and its event {_place(operation)} is not committed"
            )
    seen = {effect.event for effect in history.effects} | {event.event for event in history.unresolved}
    for event in history.committed:
        if event.event not in seen:
            yield Violation("lost", f"{_place(event)} was committed and has no effect")


def unexpected(history: History) -> Iterator[Violation]:
    """No effect without a committed event, and no committed event that no client can have asked for."""
    known = {event.event for event in history.committed}
    for effect in history.effects:
        if effect.event not in known:
            yield Violation("unexpected", f"{_place(effect)} has an effect and was not committed")
    for accepted in history.accepted:
        if accepted.event not in known:
            yield Violation("unexpected", f"{_place(accepted)} was sent and not committed")
    outcomes = {operation.key: operation.outcome for operation in history.operations}
    for event in history.committed:
        if event.key is not None and outcomes.get(event.key, "fail") == "fail":
            yield Violation("unexpected", f"{_place(event)} was committed, and its request {event.key} had failed")


def duplicate(history: History) -> Iterator[Violation]:
    """An event has one effect, and an operation one event, however often it was retried."""
    for (event, place), count in Counter((effect.event, _place(effect)) for effect in history.effects).items():
        if count > 1:
            yield Violation("duplicate", f"{place} ({event}) has {count} effects")
    for key, count in Counter(event.key for event in history.committed if event.key is not None).items():
        if count > 1:
            yield Violation("duplicate", f"the request {key} committed {count} events")


def reordered(history: History) -> Iterator[Violation]:
    """In each group, sequences have no gap, and effects appear in their order; late ones are marked as stale."""
    committed = _by_group(history.committed)
    for group, events in committed.items():
        numbers = sorted(event.sequence for event in events)
        if numbers != list(range(1, len(numbers) + 1)):
            yield Violation("reordered", f"the committed sequences of {group} have a gap or a repetition: {numbers}")
    for group, effects in _by_group(history.effects).items():
        highest = 0
        for effect in effects:
            if effect.sequence < highest and not effect.stale:
                yield Violation(
                    "reordered", f"{group}: {effect.sequence} took effect after {highest}, and is not stale"
                )
            if effect.stale and effect.sequence >= highest:
                yield Violation("reordered", f"{group}: {effect.sequence} is marked as stale, and nothing was later")
            highest = max(highest, effect.sequence)
    if not history.expectations.stale:
        for effect in history.effects:
            if effect.stale:
                yield Violation("reordered", f"{_place(effect)} came late, which this fault does not excuse")


def sent_out_of_order(history: History) -> Iterator[Violation]:
    """The first acceptances of a group's events by the broker have the order of their sequences."""
    for group, accepted in _by_group(history.accepted).items():
        first = list(dict.fromkeys(entry.sequence for entry in accepted))
        for before, after in pairwise(first):
            if after < before:
                yield Violation("sent out of order", f"{group}: {after} was accepted after {before}")


def changed(history: History) -> Iterator[Violation]:
    """The payload that took effect, and the one that was sent, are the one that was committed."""
    hashes = {event.event: event.hash for event in history.committed}
    for stage, rows in (("sent", history.accepted), ("handled", history.effects)):
        for row in rows:
            if row.event in hashes and row.hash != hashes[row.event]:
                yield Violation("changed", f"{_place(row)} was {stage} with another payload than was committed")


def stuck(history: History) -> Iterator[Violation]:
    """Everything is processed within a stated time after the fault, and nothing waits for a person without need."""
    allowed = history.expectations
    if history.drained_at is None:
        yield Violation("stuck", "it did not drain")
    elif history.recovered_at is not None and history.drained_at - history.recovered_at > allowed.drain_seconds:
        took = history.drained_at - history.recovered_at
        yield Violation("stuck", f"it drained after {took:.1f} s, and {allowed.drain_seconds:g} s are allowed")
    if not allowed.unresolved:
        for event in history.unresolved:
            yield Violation("stuck", f"{event.event} waits in {event.where}, which this fault does not excuse")


def stalled(history: History) -> Iterator[Violation]:
    """While the fault lasted, events took effect."""
    if not history.expectations.progress or history.fault_at is None or history.recovered_at is None:
        return
    during = [effect for effect in history.effects if history.fault_at <= effect.at <= history.recovered_at]
    if not during:
        yield Violation(
            "stalled", f"nothing took effect in {history.recovered_at - history.fault_at:.1f} s of the fault"
        )


def refused(history: History) -> Iterator[Violation]:
    """While the fault lasted, requests of clients succeeded."""
    if not history.expectations.orders or history.fault_at is None or history.recovered_at is None:
        return
    lasted = history.recovered_at - history.fault_at
    succeeded = any(
        operation.outcome == "ok" and history.fault_at <= operation.at <= history.recovered_at
        for operation in history.operations
    )
    if lasted >= LONG_ENOUGH_SECONDS and not succeeded:
        yield Violation("refused", f"no request succeeded in {lasted:.1f} s of the fault")


def unproven(history: History) -> Iterator[Violation]:
    """An event counts as published only if it came back through the publish check."""
    for event in history.committed:
        if event.published and event.event not in history.returned:
            yield Violation("unproven", f"{_place(event)} counts as published and never came back")


def silent(history: History) -> Iterator[Violation]:
    """A metric, a log line, the readiness or the API showed the fault."""
    if history.expectations.reported and not history.reported:
        yield Violation("silent", "no log line, metric, readiness or API response showed the fault")
    if history.expectations.quiet:
        for where in history.reported:
            yield Violation("false alarm", f"{where} showed a fault, and there was none")


def disclosed(history: History) -> Iterator[Violation]:
    """No log, metric or readiness page shows what customers write."""
    for where in history.disclosed:
        yield Violation("disclosed", f"in {where}")


def empty(history: History) -> Iterator[Violation]:
    """A run without operations or effects shows nothing."""
    if not any(operation.outcome == "ok" for operation in history.operations):
        yield Violation("empty", "no request of a client succeeded: this run shows nothing")
    if not history.accepted:
        yield Violation("empty", "the broker's log is empty: this run shows nothing about what was sent")


RULES: tuple[Rule, ...] = (
    lost, unexpected, duplicate, reordered, sent_out_of_order, changed, stuck, stalled, refused, unproven, silent,
    disclosed, empty,
)  # fmt: skip


def check(history: History) -> list[Violation]:
    """All violations."""
    return [violation for rule in RULES for violation in rule(history)]


def _by_group(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    groups: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    return groups


def _place(row: object) -> str:
    return f"{getattr(row, 'group', None)}/{getattr(row, 'sequence', None)}"
