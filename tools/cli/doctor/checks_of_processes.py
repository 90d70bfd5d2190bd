"""Judges processes: whether they answer and are ready, and whether they agree on names, versions and clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tools.cli.doctor.catalog import FoundProblem, problem
from tools.cli.doctor.observation import Observed

SKEW_SECONDS = 2.0
"""A clock may be so far from this machine's."""
# Checks with a problem of their own, which is found where it can be explained.
DATABASE = "the database cannot be reached"
UNKNOWN = "unknown while"
KNOWN_ELSEWHERE = frozenset({"paused", "broker-identity", "queue", "topic", "publish-check", "outbox", "source"})


def judge_process(seen: Observed) -> Iterable[FoundProblem]:
    """The problems of one process."""
    if seen.silence is not None:
        yield problem("relay-down" if seen.is_relay else "service-down", seen.name, seen.silence)
        return
    yield from _readiness(seen)
    for failure in seen.failures:
        yield _failure(seen, failure)
    for whose, skew in (("its clock", seen.skew_seconds), ("the clock of its database", seen.database_skew_seconds)):
        if skew is not None and abs(skew) > SKEW_SECONDS:
            way = "ahead of" if skew > 0 else "behind"
            yield problem("clock-skew", seen.name, f"{whose} is {abs(skew):.0f} s {way} this machine's")


def judge_publishers(all_seen: Sequence[Observed]) -> Iterable[FoundProblem]:
    """The problems of an outbox as its publisher sees it, where no relay answers that would show them."""
    silent = {seen.name for seen in all_seen if seen.silence is not None}
    answering = {seen.name for seen in all_seen if seen.is_relay} - silent
    for seen in all_seen:
        check, relay = seen.checks.get("outbox", {"ok": True}), f"{seen.name}-relay"
        if not seen.is_relay and not check["ok"] and relay not in answering:
            detail = str(check.get("detail") or "")
            if detail.startswith("no relay"):
                if relay not in silent:
                    yield problem("relay-down", relay, detail)
            elif UNKNOWN not in detail:
                yield problem("degraded", seen.name, f"outbox: {detail}")


def judge_agreement(all_seen: Sequence[Observed]) -> Iterable[FoundProblem]:
    """Problems that show only in the comparison of processes: the names, the broker and the versions that they use."""
    known = [seen for seen in all_seen if seen.process is not None]
    for code, label, names in (
        ("prefix-differs", "TOPOLOGY_PREFIX", ("topology_prefix",)),
        ("broker-differs", "the broker", ("aws_region", "aws_endpoint_url")),
        ("version-differs", "the version", ("version",)),
    ):
        values = {seen.name: " ".join(str((seen.process or {})[name] or "") for name in names) for seen in known}
        # The processes that differ from most others; if there is no majority, from the first.
        usual = Counter(values.values()).most_common(1)
        for name, value in values.items():
            if value != usual[0][0]:
                shown = f"{label} is {value.strip() or 'empty'}, and {usual[0][0].strip() or 'empty'} elsewhere"
                yield problem(code, name, shown)


def _readiness(seen: Observed) -> Iterable[FoundProblem]:
    for name, check in seen.checks.items():
        detail = str(check.get("detail") or "")
        if check["ok"] or UNKNOWN in detail:
            continue
        if "migration" in detail:
            yield problem("migrations-behind", seen.name, detail, service=seen.service)
        elif "may not read" in detail or "privilege" in detail:
            yield problem("role-lacks-rights", seen.name, detail, service=seen.service)
        elif DATABASE in detail or "read-only" in detail:
            yield problem("database-unavailable", seen.name, detail)
        elif name == "broker":
            yield problem("broker-outage", seen.name, detail)
        elif name not in KNOWN_ELSEWHERE or (name in {"queue", "topic"} and "does not exist" not in detail):
            code = "not-ready" if check.get("required", True) else "degraded"
            yield problem(code, seen.name, f"{name}: {detail}")


def _failure(seen: Observed, failure: str) -> FoundProblem:
    lower = failure.lower()
    if "key set" in lower:
        return problem("key-set-unreachable", seen.name, failure)
    if "token" in lower or "permitted" in lower:
        return problem("token-refused", seen.name, failure)
    return problem("no-details", seen.name, failure)
