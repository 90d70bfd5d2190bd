"""Shows the state of an outbox to people, with units and the problems that follow from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tools.cli.formats import bounded_count, bounded_plural, duration, plural, timestamp
from tools.cli.output import Output

ApiObject = Mapping[str, Any]

LATE_SECONDS = 60.0
"""The age of the oldest pending event from which an outbox counts as late."""
# A relay renews its lease three times during it; the next renewal may be late by this share of the interval.
TOLERANCE = 0.5


def find_problems(state: ApiObject, readiness: ApiObject) -> list[str]:
    """What needs the attention of an operator, each with the remedy; empty when nothing does."""
    found = []
    if not state["relays"]:
        found.append("no relay holds a lease: this one cannot renew its own; see its log")
    if state["paused"]:
        found.append("paused, so nothing is sent: ./event-trio outbox resume")
    if state["replay"]:
        found.append("a replay is running; new events of its groups wait for it")
    if held := state["held_groups"]["value"]:
        found.append(f"{plural(held, 'message group')} held: ./event-trio outbox held")
    if (state["oldest_pending_seconds"] or 0) > LATE_SECONDS and not (state["paused"] or state["replay"]):
        found.append("late: pending events wait longer than a minute")
    return found + failed_checks(readiness, ignored=("paused",))


def failed_checks(readiness: ApiObject, *, ignored: tuple[str, ...] = ()) -> list[str]:
    """The failed checks of a readiness page."""
    checks = readiness.get("checks", {})
    return [
        f"{name}: {check.get('detail')}" for name, check in checks.items() if not check["ok"] and name not in ignored
    ]


def show_status(output: Output, relay: str, state: ApiObject, problems: list[str]) -> None:
    """The outbox as a whole."""
    paused, replay = state["paused"], state["replay"]
    output.facts(
        {
            "relay": relay,
            "problems": "\n".join(problems) or "none",
            "pending": f"{bounded_plural(state['pending'], 'event')}, not sent yet",
            "oldest pending": duration(state["oldest_pending_seconds"]),
            "unconfirmed": f"{bounded_plural(state['unconfirmed'], 'event')}, sent and not yet confirmed",
            "held groups": bounded_plural(state["held_groups"], "group"),
            "relays": f"{state['relays']} alive",
            "paused": f"by {paused['by']} since {timestamp(paused['at'])}: {paused['reason']}" if paused else "no",
            "replay": f"{replay['id']}, {replay['progress']:.0%}: {replay['reason']}" if replay else "none",
        }
    )


def show_lanes(output: Output, relay: str, answer: ApiObject) -> None:
    """The relays, their health, and the lanes of each."""
    owned: dict[str, list[int]] = {}
    for lane in answer["lanes"]:
        owned.setdefault(lane["owner"] if lane["owner_alive"] else "none", []).append(lane["lane"])
    rows = [
        (relay["relay_id"], health(relay), timestamp(relay["started_at"]), ranges(owned.pop(relay["relay_id"], [])))
        for relay in answer["relays"]
    ]
    rows += [("none", "available", "", ranges(free)) for free in owned.values()]
    output.line(f"relay: {relay}")
    output.table(("relay", "state", "started", "lanes"), rows)


def health(relay: ApiObject) -> str:
    """Whether a relay is alive, late with its heartbeat, or dead."""
    silent, lease = relay["silent_seconds"], relay["lease_seconds"]
    if not relay["alive"]:
        return f"dead: no heartbeat for {duration(silent)}; it has lost its lanes"
    if silent > lease / 3 * (1 + TOLERANCE):
        left = max(0.0, lease - silent)
        return f"late: no heartbeat for {duration(silent)}; its lease expires in {duration(left)}"
    return "alive"


def show_event(output: Output, event: ApiObject) -> None:
    """An event with its history."""
    output.facts(
        {
            "event": event["event_id"],
            "type": event["type"],
            "state": event["state"],
            "group": event["subject"],
            "sequence": str(event["sequence"]),
            "source": event["source"],
            "lane": f"{event['lane']}, of relay {event['owner']}" if event["owner"] else str(event["lane"]),
            "correlation id": event["correlation_id"] or "",
            "caused by": event["causation_id"] or "",
            "size": f"{event['size']:,} bytes",
            "recorded": timestamp(event["recorded_at"]),
            "sent": timestamp(event["first_sent_at"]),
            "published": timestamp(event["first_published_at"]),
            "last sent": timestamp(event["sent_at"]) if event["republished"] else "",
            "last published": timestamp(event["published_at"]) if event["republished"] else "",
            "held": timestamp(event["held_at"]),
            "hold reason": event["held_reason"] or "",
            "held behind": event["held_behind"] or "",
            "discarded": timestamp(event["discarded_at"]),
            "failed attempts": str(event["attempts"] or "none"),
            "replays": str(event["republished"] or ""),
            "last error": event["last_error"] or "",
            "broker message id": event["broker_message_id"] or "",
        }
    )
    if event["audit"]:
        output.line()
        show_audit(output, event["audit"])


def show_group(output: Output, group: ApiObject) -> None:
    """The unpublished events of a message group."""
    state, last = group["held"], group.get("published_to")
    all_published = not group["events"]
    output.facts(
        {
            "group": group["subject"],
            "unpublished": f"none; published up to sequence {last}" if all_published and last else "",
            "lane": f"{group['lane']}, of relay {group['owner']}" if group["owner"] else str(group["lane"]),
            "held": timestamp(state["since"]) if state else "no",
            "hold reason": state["reason"] if state else "",
            "events behind": bounded_plural(state["behind"], "event") if state else "",
            "release": "in progress" if state and state["releasing"] else "",
        }
    )
    if all_published:
        return
    output.line()
    rows = [
        (str(event["sequence"]), event["event_id"], event["type"], event["state"], timestamp(event["recorded_at"]),
         str(event["attempts"] or "none"), event["last_error"] or "")
        for event in group["events"]
    ]  # fmt: skip
    output.table(("sequence", "event", "type", "state", "recorded", "failed attempts", "last error"), rows)


def show_held(output: Output, relay: str, groups: list[dict[str, Any]]) -> None:
    """The held message groups."""
    rows = [
        (group["subject"], group["cause"] or group["head"] or "", str(group["head_sequence"] or ""),
         bounded_count(group["behind"]), timestamp(group["since"]),
         "release in progress" if group["releasing"] else group["reason"])
        for group in groups
    ]  # fmt: skip
    if not rows:
        output.note(f"{relay}: no message group is held")
        return
    output.line(f"relay: {relay}")
    output.table(("group", "event", "sequence", "events behind", "since", "reason"), rows)


def show_audit(output: Output, entries: list[dict[str, Any]]) -> None:
    """The changes that operators made."""
    rows = [
        (timestamp(entry["at"]), entry["actor"], entry["action"], entry["event_id"] or entry["subject"] or "",
         entry["reason"])
        for entry in entries
    ]  # fmt: skip
    output.table(("when", "operator", "action", "subject", "reason"), rows)


def ranges(lanes: list[int]) -> str:
    """Lane numbers as ranges with their count: "0-3, 7 (5)"."""
    if not lanes:
        return "none"
    runs = Counter(lane - place for place, lane in enumerate(sorted(lanes)))
    texts, place = [], 0
    for offset, length in sorted(runs.items()):
        first = offset + place
        texts.append(str(first) if length == 1 else f"{first}-{first + length - 1}")
        place += length
    return f"{', '.join(texts)} ({len(lanes)})"
