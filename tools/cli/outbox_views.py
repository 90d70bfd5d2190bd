"""How the state of an outbox is shown to people: with units, and with what it means."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tools.cli.output import Output, count, counted, duration, many, moment

Shown = Mapping[str, Any]

LATE_SECONDS = 60.0
# A relay beats three times in a lease; one that missed a beat by this much is not merely late.
MISSED = 0.5


def verdict(state: Shown, readiness: Shown) -> list[str]:
    """What is amiss and what to do about it; says so when nothing is."""
    found = []
    if not state["relays"]:
        found.append("no relay holds a lease: this one cannot renew its own; see its log")
    if state["paused"]:
        found.append("paused, so nothing is sent: ./event-trio outbox resume")
    if state["replay"]:
        found.append("a replay runs; what is new waits for it")
    if held := state["held_groups"]["value"]:
        found.append(f"{many(held, 'group')} {'waits' if held == 1 else 'wait'} for a person: ./event-trio outbox held")
    if (state["oldest_pending_seconds"] or 0) > LATE_SECONDS and not (state["paused"] or state["replay"]):
        found.append("behind: events wait longer than a minute to be sent")
    found += failing(readiness, besides=("paused",))
    return found or ["all is well"]


def failing(readiness: Shown, *, besides: tuple[str, ...] = ()) -> list[str]:
    """What a readiness page says is missing."""
    checks = readiness.get("checks", {})
    return [
        f"{name}: {check.get('detail')}" for name, check in checks.items() if not check["ok"] and name not in besides
    ]


def show_status(output: Output, whom: str, state: Shown, meaning: list[str]) -> None:
    """The outbox as a whole."""
    paused, replay = state["paused"], state["replay"]
    output.facts(
        {
            "asked": whom,
            "verdict": "\n".join(meaning),
            "pending": f"{counted(state['pending'], 'event')}, not sent yet",
            "oldest pending": duration(state["oldest_pending_seconds"]),
            "unconfirmed": f"{counted(state['unconfirmed'], 'event')}, sent and not seen to arrive yet",
            "held groups": counted(state["held_groups"], "group"),
            "relays": f"{state['relays']} alive",
            "paused": f"by {paused['by']} since {moment(paused['at'])}: {paused['reason']}" if paused else "no",
            "replay": f"{replay['id']}, {replay['progress']:.0%}: {replay['reason']}" if replay else "none",
        }
    )


def show_lanes(output: Output, whom: str, answer: Shown) -> None:
    """The relays, how they are, and the lanes of each."""
    owned: dict[str, list[int]] = {}
    for lane in answer["lanes"]:
        owned.setdefault(lane["owner"] if lane["owner_alive"] else "nobody", []).append(lane["lane"])
    rows = [
        (relay["relay_id"], health(relay), moment(relay["started_at"]), ranges(owned.pop(relay["relay_id"], [])))
        for relay in answer["relays"]
    ]
    rows += [("nobody", "to be taken over", "", ranges(free)) for free in owned.values()]
    output.line(f"asked: {whom}")
    output.table(("relay", "state", "started", "lanes"), rows)


def health(relay: Shown) -> str:
    """Whether a relay lives, is silent, or has lost its lanes."""
    silent, lease = relay["silent_seconds"], relay["lease_seconds"]
    if not relay["alive"]:
        return f"dead: not heard of for {duration(silent)}; its lanes go to others"
    if silent > lease / 3 * (1 + MISSED):
        left = max(0.0, lease - silent)
        return f"not heard of for {duration(silent)}; its lanes are taken over in {duration(left)}"
    return "alive"


def show_event(output: Output, event: Shown) -> None:
    """All that is known of one event."""
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
            "recorded": moment(event["recorded_at"]),
            "sent": moment(event["first_sent_at"]),
            "published": moment(event["first_published_at"]),
            "last sent": moment(event["sent_at"]) if event["republished"] else "",
            "last published": moment(event["published_at"]) if event["republished"] else "",
            "held": moment(event["held_at"]),
            "held because": event["held_reason"] or "",
            "discarded": moment(event["discarded_at"]),
            "failed attempts": str(event["attempts"] or "none"),
            "sent again": str(event["republished"] or ""),
            "last error": event["last_error"] or "",
            "broker's id": event["broker_message_id"] or "",
        }
    )
    if event["audit"]:
        output.line()
        show_audit(output, event["audit"])


def show_group(output: Output, group: Shown) -> None:
    """What of a group waits."""
    state, last = group["held"], group.get("published_to")
    nothing_waits = not group["events"]
    output.facts(
        {
            "group": group["subject"],
            "waiting": f"nothing: all is published, up to number {last}" if nothing_waits and last else "",
            "lane": f"{group['lane']}, of relay {group['owner']}" if group["owner"] else str(group["lane"]),
            "held": moment(state["since"]) if state else "no",
            "held because": state["reason"] if state else "",
            "behind the first": counted(state["behind"], "event") if state else "",
            "release": "under way" if state and state["releasing"] else "",
        }
    )
    if nothing_waits:
        return
    output.line()
    rows = [
        (str(event["sequence"]), event["event_id"], event["type"], event["state"], moment(event["recorded_at"]),
         str(event["attempts"] or "none"), event["last_error"] or "")
        for event in group["events"]
    ]  # fmt: skip
    output.table(("sequence", "event", "type", "state", "recorded", "failed attempts", "last error"), rows)


def show_held(output: Output, whom: str, groups: list[dict[str, Any]]) -> None:
    """The groups that wait for a person."""
    rows = [
        (group["subject"], group["cause"] or group["head"] or "", str(group["head_sequence"] or ""),
         count(group["behind"]), moment(group["since"]),
         "being released" if group["releasing"] else group["reason"])
        for group in groups
    ]  # fmt: skip
    if not rows:
        output.note(f"no message group is held at {whom}")
        return
    output.line(f"asked: {whom}")
    output.table(("group", "event", "sequence", "events behind", "since", "reason"), rows)


def show_audit(output: Output, entries: list[dict[str, Any]]) -> None:
    """Who did what, and why."""
    rows = [
        (moment(entry["at"]), entry["actor"], entry["action"], entry["event_id"] or entry["subject"] or "",
         entry["reason"])
        for entry in entries
    ]  # fmt: skip
    output.table(("when", "who", "did", "to", "because"), rows)


def ranges(lanes: list[int]) -> str:
    """Lanes as text: "0-3, 7 (5)"."""
    if not lanes:
        return "none"
    runs = Counter(lane - place for place, lane in enumerate(sorted(lanes)))
    texts, place = [], 0
    for offset, length in sorted(runs.items()):
        first = offset + place
        texts.append(str(first) if length == 1 else f"{first}-{first + length - 1}")
        place += length
    return f"{', '.join(texts)} ({len(lanes)})"
