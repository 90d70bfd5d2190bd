"""Judges an outbox as its relay shows it: lanes, held groups, pauses, delays, confirmation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tools.cli.doctor.catalog import FoundProblem, problem
from tools.cli.doctor.observation import Observed
from tools.cli.formats import bounded_plural, duration, plural
from tools.cli.outbox_views import LATE_SECONDS, ranges

READING = frozenset({"starting", "streaming", "standby"})
SOURCE_PROBLEMS = {
    "slot_missing": "wal-slot-missing",
    "slot_lost": "wal-slot-lost",
    "slot_taken": "wal-slot-taken",
    "publication_missing": "wal-publication-missing",
    "behind": "wal-behind",
}


def judge_outbox(seen: Observed) -> Iterable[FoundProblem]:
    """The problems of the outbox of a relay."""
    if seen.lanes is not None:
        free = [lane["lane"] for lane in seen.lanes["lanes"] if lane["owner"] is None or not lane["owner_alive"]]
        if free:
            yield problem("lane-without-relay", seen.name, f"no live relay owns the lanes {ranges(free)}")
    for group in seen.held:
        behind = bounded_plural(group["behind"], "event")
        what = f"group {group['subject']} is held, with {behind} behind: {group['reason']}"
        yield problem("group-held", seen.name, what, group=group["subject"])
    if seen.outbox is not None:
        yield from _state(seen, seen.outbox)
    if seen.source is not None and seen.source["state"] is not None:
        yield from _source(seen, seen.source)
    yield from _checks(seen)


def _state(seen: Observed, state: Mapping[str, Any]) -> Iterable[FoundProblem]:
    if paused := state["paused"]:
        yield problem("outbox-paused", seen.name, f"paused by {paused['by']}: {paused['reason']}")
    age = state["oldest_pending_seconds"] or 0
    if age > LATE_SECONDS and not (paused or state["replay"]):
        pending = plural(state["pending"]["value"], "event")
        yield problem("outbox-late", seen.name, f"{pending} wait to be sent, the oldest for {duration(age)}")


def _source(seen: Observed, source: Mapping[str, Any]) -> Iterable[FoundProblem]:
    """What keeps a relay from reading the write-ahead log, and what the log costs."""
    state = source["state"]
    if state not in READING:
        code = SOURCE_PROBLEMS.get(state, "wal-unreadable")
        yield problem(code, seen.name, source["detail"] or state, service=seen.service)
    if source["pressure"]:
        yield problem("wal-kept", seen.name, source["pressure"])


def _checks(seen: Observed) -> Iterable[FoundProblem]:
    """What relays have found out together, on the readiness page. A missing queue is judged with the topology."""
    for name, code in (("publish-check", "publish-check-broken"), ("broker-identity", "broker-recreated")):
        check = seen.checks.get(name, {"ok": True})
        detail = str(check.get("detail") or "")
        if not check["ok"] and "does not exist" not in detail:
            yield problem(code if "since" in detail or "recreated" in detail else "not-ready", seen.name, detail)
