"""What needs a person: each with the one page on which it is resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .links import PageLinks
from .observation import LATE_SECONDS, ObservedProcess, ObservedSystem, counted

# Checks that are reported in other words, or that follow from something that is.
KNOWN = frozenset({"paused", "outbox", "lease"})

# What a process lacks while it starts, or has not caught up with yet.
PASSING = frozenset({"relay_away", "service_away", "no_relay", "late", "overdue", "check"})


@dataclass(frozen=True, slots=True)
class AttentionItem:
    """Something that waits for a person. Its texts are `attention.<name>` and `attention.<name>.button`."""

    name: str
    severity: str
    """`bad` if something is stuck, `warn` if it waits for a decision, `info` if it only runs."""
    process: str
    values: Mapping[str, object] = field(default_factory=dict)
    href: str | None = None
    detail: str = ""
    is_passing: bool = False
    """Whether it may pass by itself, because the process is starting."""


def attention(seen: ObservedSystem, links: PageLinks) -> list[AttentionItem]:
    """Everything that needs a person, what is stuck first."""
    found: list[AttentionItem] = []
    for each in seen.processes.values():
        items = _of_relay(each, links) if each.process.is_relay else _of_service(each, links)
        found += [replace(item, is_passing=each.is_starting and item.name in PASSING) for item in items]
    order = {"bad": 0, "warn": 1, "info": 2}
    return sorted(found, key=lambda item: order[item.severity])


def _of_relay(relay: ObservedProcess, links: PageLinks) -> Iterable[AttentionItem]:
    name, state = relay.process.name, relay.state.body
    if relay.is_away:
        yield AttentionItem("relay_away", "bad", name, href=links.relay(name))
        return
    yield from _checks(relay, links)
    if not state:
        return
    page = links.outbox(name)
    if state.get("relays") == 0:
        yield AttentionItem("no_relay", "bad", name, href=links.relay(name))
    if pause := state.get("paused"):
        yield AttentionItem("paused", "warn", name, {"by": pause["by"]}, links.resume(name), str(pause["reason"]))
    if counted(state.get("held_groups")):
        yield _held(relay, links)
    late = state.get("oldest_pending_seconds") or 0
    if late > LATE_SECONDS and not pause and not state.get("replay"):
        yield AttentionItem("late", "bad", name, {"seconds": late, "count": counted(state.get("pending"))}, page)
    if replay := state.get("replay"):
        values = {"percent": round(100 * replay["progress"]), "by": replay["requested_by"]}
        address = links.replay(name, replay["id"])
        yield AttentionItem("replay", "info", name, values, address, str(replay["reason"]))


def _held(relay: ObservedProcess, links: PageLinks) -> AttentionItem:
    groups: list[Any] = list(relay.held.body.get("items", ())) if relay.held else []
    values = {"count": counted(relay.state.body.get("held_groups"))}
    detail = f"{groups[0]['subject']}: {groups[0]['reason']}" if groups else ""
    name = relay.process.name
    # The only one is opened itself.
    page = links.group(name, str(groups[0]["subject"])) if len(groups) == 1 else links.outbox(name)
    return AttentionItem("held", "bad", name, values, page, detail)


def _of_service(service: ObservedProcess, links: PageLinks) -> Iterable[AttentionItem]:
    name, state = service.process.name, service.state.body
    if service.is_away:
        yield AttentionItem("service_away", "bad", name, href=links.relay(name))
        return
    yield from _checks(service, links)
    if counted(state.get("overdue")):
        first = state.get("first_overdue") or {}
        values = {"count": counted(state["overdue"])}
        # What waits for an earlier message cannot run before that is resolved.
        waits, event = first.get("behind"), str(first.get("event_id") or "")
        page = links.run_now(name, event) if event and not waits else links.deferred(name)
        yield AttentionItem("overdue", "bad", name, values, page, str(first.get("message_group") or ""))
    if counted(state.get("dead")):
        values = {"count": counted(state["dead"]), "at_least": state["dead"].get("at_least", False)}
        yield AttentionItem("dead", "warn", name, values, links.dead_letters(name))


def _checks(process: ObservedProcess, links: PageLinks) -> Iterable[AttentionItem]:
    """The failing checks of the readiness page that nothing else tells."""
    for check, detail in process.failing.items():
        if check in KNOWN:
            continue
        severity = "bad" if process.checks[check].get("required") else "warn"
        name = process.process.name
        yield AttentionItem("check", severity, name, {"check": check}, links.relay(name), detail)
