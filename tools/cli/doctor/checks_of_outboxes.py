"""Judges an outbox as its relay shows it: lanes, held groups, pauses, delays, confirmation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tools.cli.doctor.catalog import FoundProblem, problem
from tools.cli.doctor.observation import Observed
from tools.cli.formats import bounded_plural, duration, plural
from tools.cli.outbox_views import LATE_SECONDS, ranges


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
    yield from _checks(seen)


def _state(seen: Observed, state: Mapping[str, Any]) -> Iterable[FoundProblem]:
    if paused := state["paused"]:
        yield problem("outbox-paused", seen.name, f"paused by {paused['by']}: {paused['reason']}")
    age = state["oldest_pending_seconds"] or 0
    if age > LATE_SECONDS and not (paused or state["replay"]):
        pending = plural(state["pending"]["value"], "event")
        yield problem("outbox-late", seen.name, f"{pending} wait to be sent, the oldest for {duration(age)}")


def _checks(seen: Observed) -> Iterable[FoundProblem]:
    """What relays have found out together, on the readiness page. A missing queue is judged with the topology."""
    for name, code in (("publish-check", "publish-check-broken"), ("broker-identity", "broker-recreated")):
        check = seen.checks.get(name, {"ok": True})
        detail = str(check.get("detail") or "")
        if not check["ok"] and "does not exist" not in detail:
            yield problem(code if "since" in detail or "recreated" in detail else "not-ready", seen.name, detail)
