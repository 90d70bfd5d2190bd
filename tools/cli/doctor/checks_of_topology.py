"""Judges topics, queues, policies, subscriptions and filters as relays and services describe them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tools.cli.doctor.catalog import FoundProblem, problem
from tools.cli.doctor.observation import Observed
from tools.cli.formats import plural

Part = Mapping[str, Any]
UNREACHABLE = re.compile(r": (?:EndpointConnection|(?:Connect|Read)?Timeout|ConnectionClosed|Connect)Error$")
"""How the description of a topic or a queue ends if the broker could not be reached or did not answer in time."""


def judge_topology(seen: Observed) -> Iterable[FoundProblem]:
    """The problems of the part of the topology that a process describes."""
    if seen.topology is None:
        return
    found: list[FoundProblem] = []
    if seen.is_relay:
        found = [*_of_relay(seen.name, seen.topology)]
    elif seen.topology["queue"] is not None:
        found = [*_of_consumer(seen.name, seen.topology)]
    # One cause, whatever number of calls it fails.
    unreachable = [each for each in found if each.code == "no-details" and UNREACHABLE.search(each.what)]
    yield from (each for each in found if each not in unreachable)
    if unreachable:
        yield problem("broker-outage", seen.name, f"the broker does not answer: {unreachable[0].what}")


def _of_relay(name: str, found: Part) -> Iterable[FoundProblem]:
    topic, check = found["topic"], found["publish_check"]
    if not topic["exists"]:
        yield problem("topic-missing", name, f"topic {topic['name']} does not exist")
    elif topic["problem"]:
        yield problem("no-details", name, topic["problem"])
    if not check["exists"]:
        yield problem("publish-check-missing", name, f"queue {check['name']} does not exist")
        return
    if check["problem"]:
        yield problem("no-details", name, check["problem"])
        return
    yield from _policy(name, check, topic["name"])
    subscribed = [each["queue"] for each in topic["subscriptions"] or ()]
    if topic["exists"] and topic["subscriptions"] is not None and check["name"] not in subscribed:
        yield problem("subscription-missing", name, f"queue {check['name']} is not subscribed to {topic['name']}")


def _of_consumer(name: str, found: Part) -> Iterable[FoundProblem]:
    queues = [found[key] for key in ("queue", "dead_letter_queue", "undelivered_queue") if found[key]]
    for queue in queues:
        if not queue["exists"]:
            yield problem("queue-missing", name, f"queue {queue['name']} does not exist")
        elif queue["problem"]:
            yield problem("no-details", name, queue["problem"])
    for queue in queues[1:]:
        waiting = queue["messages"]
        if waiting:
            yield problem("queue-dead-letters", name, f"{plural(waiting, 'message')} in queue {queue['name']}")
    queue, topic = found["queue"], found["topic"]
    if not queue["exists"] or queue["problem"] or topic is None:
        return
    if len({each["high_throughput"] for each in queues if each["exists"]}) > 1:
        yield problem("throughput-differs", name, f"the queues of {queue['name']} have different scopes of throughput")
    yield from _policy(name, queue, topic["name"])
    if not topic["exists"]:
        yield problem("topic-missing", name, f"topic {topic['name']} does not exist")
    elif topic["subscriptions"] is None:
        yield problem("no-details", name, str(topic["problem"]))
    elif not topic["subscriptions"]:
        yield problem("subscription-missing", name, f"queue {queue['name']} is not subscribed to {topic['name']}")
    else:
        yield from _subscription(name, topic["subscriptions"][0], {each["type"] for each in found["handles"]})


def _policy(name: str, queue: Part, topic: str) -> Iterable[FoundProblem]:
    if not {topic, "*"} & set(queue["senders"]):
        yield problem("policy-missing", name, f"the policy of queue {queue['name']} does not admit topic {topic}")


def _subscription(name: str, subscription: Part, handled: set[str]) -> Iterable[FoundProblem]:
    queue, types = subscription["queue"], subscription["types"]
    if types is None:
        yield problem("filter-differs", name, f"the subscription of {queue} has no filter by type")
    else:
        lacks, more = sorted(handled - set(types)), sorted(set(types) - handled)
        parts = [f"lacks {', '.join(lacks)}"] if lacks else []
        parts += [f"admits {', '.join(more)}, for which there is no handler"] if more else []
        if parts:
            yield problem("filter-differs", name, f"the filter of {queue} {' and '.join(parts)}")
    if not subscription["undelivered_queue"]:
        yield problem("undelivered-queue-missing", name, f"the subscription of {queue} has no dead-letter queue")
