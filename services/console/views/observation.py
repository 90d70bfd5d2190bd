"""Reads the state of the whole system: at most one call a second of each process, whatever it contains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..api_clients.answer_shapes import readiness_of
from ..api_clients.processes import ApiProcess
from ..api_clients.replies import ApiReply, failed
from ..api_clients.system import SystemClient

# How old an answer may be. What moves fast is read at every refresh; the rest less often, so that the calls of a
# process stay below one a second even with the shortest interval between refreshes.
LANES_SECONDS = 4.0
READINESS_SECONDS = 5.0
HELD_SECONDS = 5.0
TOPOLOGY_SECONDS = 15.0
"""The description of queues costs calls of the broker."""
MOST_HELD = 5
LATE_SECONDS = 60.0
"""An event that waits longer than this to be sent is late."""


@dataclass(frozen=True, slots=True)
class ObservedProcess:
    """A service or a relay, as it answered. What was not asked for is None."""

    process: ApiProcess
    ready: ApiReply
    state: ApiReply
    """The outbox of a relay, the inbox of a service."""
    topology: ApiReply | None = None
    lanes: ApiReply | None = None
    held: ApiReply | None = None
    is_starting: bool = False
    """Whether it began to run so recently that what it lacks may come by itself."""

    @property
    def is_away(self) -> bool:
        """Whether the process does not answer at all."""
        return self.ready.is_away and not self.checks

    @property
    def status(self) -> str:
        """`ready`, `degraded`, `not_ready` or `away`."""
        found = self._readiness.get("status")
        return str(found) if found in ("ready", "degraded", "not_ready") else "away"

    @property
    def checks(self) -> Mapping[str, Any]:
        """The checks of the readiness page, by name."""
        found = self._readiness.get("checks")
        return found if isinstance(found, dict) else {}

    @property
    def failing(self) -> dict[str, str]:
        """The failing checks with their details."""
        return {name: str(check.get("detail") or "") for name, check in self.checks.items() if not check.get("ok")}

    @property
    def replies(self) -> tuple[ApiReply, ...]:
        """Everything that was read, except the readiness, which answers "not ready" with an error."""
        return tuple(reply for reply in (self.state, self.topology, self.lanes, self.held) if reply is not None)

    @property
    def _readiness(self) -> Mapping[str, Any]:
        return self.ready.body if self.ready.failure is None else readiness_of(self.ready.failure.problem)


@dataclass(frozen=True, slots=True)
class ObservedSystem:
    """All services and relays by name."""

    processes: Mapping[str, ObservedProcess]

    @property
    def failed(self) -> tuple[ApiReply, ...]:
        """A reply of each process that did not answer, those that are starting excepted."""
        return failed([reply for each in self.processes.values() if not each.is_starting for reply in each.replies])

    def service(self, name: str) -> ObservedProcess | None:
        """A service."""
        return self.processes.get(name)

    def relay_of(self, service: str) -> ObservedProcess | None:
        """The relay of a service."""
        return self.processes.get(f"{service}-relay")


async def observe(system: SystemClient, is_starting: Callable[[str], bool]) -> ObservedSystem:
    """Read all processes at the same time. `is_starting` tells by its name whether a process began to run just now."""
    found = await asyncio.gather(*(_observe(system, process) for process in system.processes))
    named = {each.process.name: each for each in found}
    return ObservedSystem({name: replace(each, is_starting=is_starting(name)) for name, each in named.items()})


async def _observe(system: SystemClient, process: ApiProcess) -> ObservedProcess:
    ready = system.get(process, "/readyz", fresh_seconds=READINESS_SECONDS)
    if not process.is_relay:
        topology = system.get(process, "/v1/topology", fresh_seconds=TOPOLOGY_SECONDS)
        answers = await asyncio.gather(ready, system.get(process, "/v1/inbox"), topology)
        return ObservedProcess(process, answers[0], answers[1], topology=answers[2])
    lanes = system.get(process, "/v1/outbox/lanes", fresh_seconds=LANES_SECONDS)
    answers = await asyncio.gather(ready, system.get(process, "/v1/outbox"), lanes)
    held = None
    if counted(answers[1].body.get("held_groups")):
        params = {"limit": MOST_HELD}
        held = await system.get(process, "/v1/outbox/held-groups", params, fresh_seconds=HELD_SECONDS)
    return ObservedProcess(process, answers[0], answers[1], lanes=answers[2], held=held)


def counted(count: Any) -> int:
    """The value of a bounded count; 0 if it is missing."""
    return int(count.get("value") or 0) if isinstance(count, dict) else 0
