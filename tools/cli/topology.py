"""`event-trio topology show`: topics, queues and subscriptions, as the services find them in the broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer
from rich.text import Text
from rich.tree import Tree

from tools.cli.errors import CommandFailed
from tools.cli.formats import printable
from tools.cli.options import AsJson, Token
from tools.cli.processes import Process, answering, failures_of, open_processes, together
from tools.cli.session import reporting_errors

app = typer.Typer(help="Topics, queues and subscriptions.", no_args_is_help=True)

Part = Mapping[str, Any]
MISSING, UNKNOWN = "does not exist", "unknown topic"


@app.callback()
def main() -> None:
    """Topics, queues and subscriptions."""


@app.command()
def show(token: Token = None, json: AsJson = False) -> None:
    """Draw what exists in the broker: each topic with its publisher, its queues, their filters and who reads them.

    Relays describe their topic with all subscriptions, and services their queues. The exit status is 1 if a process
    did not answer, because then a part is missing from the picture. `./event-trio doctor` judges what is drawn here.
    """
    with reporting_errors(json) as output, open_processes(token, output.note) as processes:
        topics = read(processes)
        failures = failures_of(processes)
        if json:
            output.json({"topics": topics, "complete": not failures})
        for topic in [] if json else topics:
            output.tree(_drawn(topic))
        for failure in failures:
            output.error(failure)
        if not topics:
            raise CommandFailed("no process described a topic")
        if failures:
            raise typer.Exit(1)


def read(processes: list[Process]) -> list[dict[str, Any]]:
    """Each topic with its queues, by name; what relays and services say of the same topic is put together."""
    topics: dict[str, dict[str, Any]] = {}

    def topic(name: str) -> dict[str, Any]:
        unknown: dict[str, Any] = {
            "name": name,
            "exists": None,
            "problem": None,
            "published_by": [],
            "publish_check": None,
        }
        return topics.setdefault(name, {**unknown, "subscriptions": [], "consumers": []})

    relays, services = answering(processes, relays=True), answering(processes, relays=False)
    for relay, found in zip(relays, together(relays, lambda each: each.get("/v1/outbox/topology")), strict=True):
        if found:
            described = topic(found["topic"]["name"])
            described |= {"exists": found["topic"]["exists"], "problem": found["topic"]["problem"]}
            described["subscriptions"] = found["topic"]["subscriptions"] or []
            described["publish_check"] = found["publish_check"]
            described["published_by"].append(relay.name)
    for service, found in zip(services, together(services, lambda each: each.get("/v1/topology")), strict=True):
        if found and found["queue"]:
            described = topic(found["topic"]["name"] if found["topic"] else UNKNOWN)
            described["consumers"].append({"service": service.name, **found})
    return [topics[name] for name in sorted(topics)]


def _drawn(topic: dict[str, Any]) -> Tree:
    by = ", ".join(topic["published_by"]) or "a relay that does not answer"
    if topic["name"] == UNKNOWN:
        drawn = Tree(_text("a topic that could not be read", ""), guide_style="dim")
    else:
        drawn = Tree(_text(f"topic {topic['name']}", f"published by {by}", topic), guide_style="dim")
    subscriptions = {each["queue"]: each for each in topic["subscriptions"]}
    check = topic["publish_check"]
    if check:
        _add_queue(drawn, "publish check", check, f"read by {by}")
        subscriptions.pop(check["name"], None)
    for consumer in topic["consumers"]:
        queue = consumer["queue"]
        own = (consumer["topic"] or {}).get("subscriptions") or []
        subscription = subscriptions.pop(queue["name"], None) or next(iter(own), None)
        branch = _add_queue(drawn, "queue", queue, f"read by {consumer['service']}")
        for line in _about(subscription, consumer, is_known=_has_known_subscriptions(topic, consumer)):
            branch.add(line)
    for other in subscriptions.values():
        drawn.add(_text(f"queue {other['queue']}", f"of another subscriber; {_filter(other)}"))
    return drawn


def _has_known_subscriptions(topic: Part, consumer: Part) -> bool:
    """Whether the relay or the consumer could read the subscriptions of the topic."""
    return bool(topic["subscriptions"]) or (consumer["topic"] or {}).get("subscriptions") is not None


def _about(subscription: Part | None, consumer: Part, *, is_known: bool) -> Iterator[Text]:
    if subscription is None:
        yield Text(f"subscription {MISSING if is_known else 'cannot be read'}", style="yellow")
    else:
        yield _text("subscription", _filter(subscription))
    for handled in consumer["handles"]:
        yield _text(f"handles {handled['type']}", f"on failure: {handled['failure_policy']}")
    for label, name in (("dead-letter queue", "dead_letter_queue"), ("undelivered queue", "undelivered_queue")):
        if consumer[name]:
            yield _queue_text(label, consumer[name])


def _add_queue(drawn: Tree, label: str, queue: Part, reader: str) -> Tree:
    return drawn.add(_queue_text(label, queue, reader))


def _queue_text(label: str, queue: Part, reader: str = "") -> Text:
    counts = "" if queue["messages"] is None else f"{queue['messages']} waiting, {queue['in_flight']} in flight"
    return _text(f"{label} {queue['name']}", "; ".join(filter(None, [counts, reader])), queue)


def _text(title: str, detail: str, part: Part | None = None) -> Text:
    text = Text(printable(title), style="bold")
    problem = part and (part["problem"] or (None if part["exists"] is not False else MISSING))
    if problem:
        return text.append(f"  {printable(str(problem))}", style="not bold yellow")
    return text.append(f"  {printable(detail)}" if detail else "", style="not bold")


def _filter(subscription: Part) -> str:
    types = "no filter by type" if subscription["types"] is None else f"types {', '.join(subscription['types'])}"
    return types if subscription["raw_delivery"] else f"{types}; no raw delivery"
