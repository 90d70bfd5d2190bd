"""Reads from all processes what doctor judges: health, settings, clocks, outbox, inbox, topology."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tools.cli.processes import Process, together

RELAY_PATHS = {
    "outbox": "/v1/outbox",
    "lanes": "/v1/outbox/lanes",
    "source": "/v1/outbox/source",
    "topology": "/v1/outbox/topology",
}
SERVICE_PATHS = {"inbox": "/v1/inbox", "topology": "/v1/topology"}
PLAIN = re.compile(r"[A-Za-z0-9._:/-]+")
GROUPS = 10
"""So many held groups are named."""


@dataclass(frozen=True)
class Observed:
    """One process as observed; each mapping is an answer, None if it gave none."""

    name: str
    is_relay: bool
    silence: str | None
    """Why it does not answer; None if it does."""
    checks: Mapping[str, Any]
    """Its readiness page, by check."""
    process: Mapping[str, Any] | None = None
    skew_seconds: float | None = None
    """How far its clock is ahead of this machine's, less the uncertainty of the network."""
    database_skew_seconds: float | None = None
    outbox: Mapping[str, Any] | None = None
    lanes: Mapping[str, Any] | None = None
    source: Mapping[str, Any] | None = None
    """Where a relay finds new events."""
    held: tuple[Mapping[str, Any], ...] = ()
    inbox: Mapping[str, Any] | None = None
    topology: Mapping[str, Any] | None = None
    failures: tuple[str, ...] = ()
    """The requests that failed."""

    @property
    def topology_check(self) -> str:
        """The command that compares its broker with the templates."""
        settings = {"region": "aws_region", "prefix": "topology_prefix", "endpoint-url": "aws_endpoint_url"}
        given = {option: (self.process or {}).get(name) for option, name in settings.items()}
        # A process may be misconfigured or another program: no value may change what the shell or make runs.
        words = [f"--{option} {value}" for option, value in given.items() if PLAIN.fullmatch(str(value or ""))]
        return f'make topology-check ARGS="{" ".join(words)}"' if words else "make topology-check"

    @property
    def service(self) -> str:
        """The service that owns the database of the process."""
        return self.name.removesuffix("-relay")


def observe(processes: list[Process]) -> list[Observed]:
    """Observe all processes concurrently."""
    return together(processes, _observe)


def _observe(process: Process) -> Observed:
    is_relay = process.address.is_relay
    if process.problem is not None:
        return Observed(process.name, is_relay, process.problem, {})
    readiness = process.api.readiness().get("checks", {})
    facts, skew = _timed(process, "/v1/process", "time")
    answers: dict[str, Any] = {}
    database_skew = None
    # Without its token or its key set, every other request would fail in the same way.
    if facts is not None:
        paths = RELAY_PATHS if is_relay else SERVICE_PATHS
        clock = "outbox" if is_relay else "inbox"
        answers[clock], database_skew = _timed(process, paths[clock], "database_time")
        answers |= {name: process.get(path) for name, path in paths.items() if name != clock}
        if is_relay:
            answers["held"] = tuple(process.list("/v1/outbox/held-groups", {}, limit=GROUPS))
    return Observed(
        process.name,
        is_relay,
        None,
        readiness,
        process=facts,
        skew_seconds=skew,
        database_skew_seconds=database_skew,
        failures=tuple(process.failures),
        **answers,
    )


def _timed(process: Process, path: str, field: str) -> tuple[dict[str, Any] | None, float | None]:
    """An answer, and how far the time in it is from this machine's, less what the transfer may explain."""
    before = datetime.now(UTC)
    answer = process.get(path)
    after = datetime.now(UTC)
    if answer is None or answer.get(field) is None:
        return answer, None
    there = datetime.fromisoformat(answer[field])
    if before <= there <= after:
        return answer, 0.0
    return answer, (there - after if there > after else there - before).total_seconds()
