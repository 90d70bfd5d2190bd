"""The IAM policies of each process, which LocalStack does not enforce."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from event_trio.broker.names import BrokerNames, dead_letters, undelivered
from infra import manifest
from infra.manifest import TEMPLATES, TemplateKind
from tests.support.cloudformation import Resolved

ROOT = TEMPLATES.parents[1]
SERVICES = ("order", "notification")
KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
NAMES = BrokerNames("p-")
PUBLISHES = {"order": "order-events", "notification": "notification-events"}
SUBSCRIBES = {"order": "notification-events", "notification": "order-events"}
every_service = pytest.mark.parametrize("service", SERVICES)


def sqs(name: str) -> str:
    return f"arn:aws:sqs:us-east-1:000000000000:{name}"


def sns(name: str) -> str:
    return f"arn:aws:sns:us-east-1:000000000000:{name}"


def policies(service: str, **parameters: str) -> dict[str, list[Mapping[str, Any]]]:
    found = Resolved(TEMPLATES / f"access-{service}.yaml", Prefix="p-", **parameters)
    return {name: policy["PolicyDocument"]["Statement"] for name, policy in found.resources("IAM::ManagedPolicy")}


def allowed(statements: list[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """Every action with each resource for which it is allowed."""
    return {
        (action, resource)
        for statement in statements
        for action in _many(statement["Action"])
        for resource in _many(statement["Resource"])
    }


def _many(value: Any) -> Iterator[str]:
    yield from [value] if isinstance(value, str) else value


def test_every_service_with_a_topic_has_its_policies() -> None:
    loaded = {found.name for found in manifest.load(kinds={TemplateKind.ACCESS})}
    assert {f"access-{service}" for service in SERVICES} <= loaded
    publishing = {topic.topic for topic in manifest.load(kinds={TemplateKind.TOPIC})}
    assert publishing == {found.topic for found in manifest.load(kinds={TemplateKind.ACCESS})}


def test_policies_are_not_deployed_to_localstack() -> None:
    assert TemplateKind.ACCESS not in {template.kind for template in manifest.load()}


@every_service
def test_no_action_is_allowed_for_all_resources(service: str) -> None:
    for name, statements in policies(service, EncryptionKey=KEY).items():
        for statement in statements:
            assert statement["Effect"] == "Allow"
            assert "NotAction" not in statement
            assert "NotResource" not in statement
        for action, resource in allowed(statements):
            assert "*" not in action, name
            # The ids of the subscriptions of a topic are not known beforehand; this is the only wildcard.
            topic = (PUBLISHES if name == "Relay" else SUBSCRIBES)[service]
            assert "*" not in resource or resource == f"{sns(NAMES.topic(topic))}:*", name


@every_service
def test_no_process_may_change_the_topology(service: str) -> None:
    verbs = ("Create", "Delete", "Set", "Add", "Remove", "Subscribe", "Unsubscribe", "Purge", "Tag", "Untag")
    for statements in policies(service).values():
        changed = {action for action, _ in allowed(statements) if action.split(":")[1].startswith(verbs)}
        assert changed <= {"sqs:DeleteMessage"}


@every_service
def test_a_service_may_read_its_queues_and_not_send(service: str) -> None:
    queue = NAMES.queue(service, SUBSCRIBES[service])
    granted = allowed(policies(service)["Service"])
    own = {sqs(queue), sqs(dead_letters(queue)), sqs(undelivered(queue))}
    assert {resource for action, resource in granted if action.startswith("sqs:")} == own
    actions = {action for action, _ in granted}
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"} <= actions
    assert not {"sqs:SendMessage", "sns:Publish"} & actions


@every_service
def test_a_relay_may_publish_to_one_topic_and_read_one_check_queue(service: str) -> None:
    topic = PUBLISHES[service]
    granted = allowed(policies(service)["Relay"])
    own = sns(NAMES.topic(topic))
    assert {resource for _, resource in granted} == {own, f"{own}:*", sqs(NAMES.publish_check(topic))}
    read = {"sns:ListSubscriptionsByTopic", "sns:GetSubscriptionAttributes"}
    assert {action for action, resource in granted if resource == own} == {
        "sns:Publish",
        "sns:GetTopicAttributes",
        *read,
    }
    assert {action for action, resource in granted if resource == f"{own}:*"} == read
    assert "sqs:SendMessage" not in {action for action, _ in granted}


@every_service
def test_an_operator_may_only_move_dead_letters(service: str) -> None:
    queue = NAMES.queue(service, SUBSCRIBES[service])
    granted = allowed(policies(service)["Redrive"])
    assert {resource for action, resource in granted if action == "sqs:SendMessage"} == {sqs(queue)}
    dead_letter_queues = {sqs(dead_letters(queue)), sqs(undelivered(queue))}
    for action in ("sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage"):
        assert {resource for granted_action, resource in granted if granted_action == action} == dead_letter_queues


def called_in(*modules: str) -> set[str]:
    """The actions of the AWS calls in these files; a batch has the action of its single call, as in IAM."""
    text = "".join((ROOT / module).read_text(encoding="utf-8") for module in modules)
    verbs = re.findall(r"client\.((?:get|list|receive|delete|change|publish|send)_\w+)\(", text)
    verbs += re.findall(r'get_paginator\("(\w+)"\)', text)
    return {
        "".join(part.capitalize() for part in verb.removesuffix("_batch").split("_"))
        for verb in verbs
        if verb != "get_paginator"
    }


@every_service
def test_every_call_of_the_code_is_allowed(service: str) -> None:
    found = {name: {action.split(":")[1] for action, _ in allowed(part)} for name, part in policies(service).items()}
    queue, subscription = (
        called_in("shared/event_trio/broker/queue.py"),
        called_in("shared/event_trio/broker/subscription.py", "shared/event_trio/broker/topology.py"),
    )
    assert {"ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueUrl"} <= queue
    assert found["Service"] == queue | subscription
    # A relay does not extend the visibility timeout.
    published = called_in("services/relay/publishing/publisher.py")
    assert found["Relay"] == (queue - {"ChangeMessageVisibility"}) | published | subscription


@every_service
def test_a_customer_managed_key_may_be_used_where_it_is_needed(service: str) -> None:
    assert not any("kms" in action for part in policies(service).values() for action, _ in allowed(part))
    keyed = {
        name: {action for action, resource in allowed(part) if resource == KEY}
        for name, part in policies(service, EncryptionKey=KEY).items()
    }
    both = {"kms:GenerateDataKey", "kms:Decrypt"}  # sending to an encrypted topic or queue requires both
    assert keyed == {"Service": {"kms:Decrypt"}, "Relay": both, "Redrive": both}
