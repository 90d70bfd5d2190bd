"""The templates declare the policies and scopes that AWS enforces and LocalStack does not."""

import itertools

import pytest

from event_trio.broker.names import BrokerNames, dead_letters, undelivered
from event_trio.contracts.orders import ORDER_EVENTS
from event_trio.outbox.limits import DEFAULT_BYTES, LARGEST_BYTES
from infra import manifest
from infra.manifest import BROKER, TEMPLATES, Template, TemplateKind
from services.relay.settings import RelaySettings
from tests.support.cloudformation import Resolved

ALL = manifest.load()
NAMES = BrokerNames("p-")
SERVICES = TEMPLATES.parents[1] / "services"
DAY = 24 * 3600


def resolved(template: Template, throughput: str = "high", **more: str) -> Resolved:
    return Resolved(TEMPLATES / f"{template.name}.yaml", Prefix="p-", Throughput=throughput, **more)


def of(kind: TemplateKind) -> list[Template]:
    return [template for template in ALL if template.kind is kind]


def by_name(template: Template) -> str:
    return template.name


every_template = pytest.mark.parametrize("template", ALL, ids=by_name)
every_topic = pytest.mark.parametrize("template", of(TemplateKind.TOPIC), ids=by_name)
every_subscriber = pytest.mark.parametrize("template", of(TemplateKind.SUBSCRIBER), ids=by_name)
every_check = pytest.mark.parametrize("template", of(TemplateKind.PUBLISH_CHECK), ids=by_name)
with_subscription = pytest.mark.parametrize(
    "template", of(TemplateKind.SUBSCRIBER) + of(TemplateKind.PUBLISH_CHECK), ids=by_name
)


def topic_arn(template: Template) -> str:
    return f"arn:aws:sns:us-east-1:000000000000:{NAMES.topic(template.topic)}"


def test_there_are_templates_of_every_kind() -> None:
    assert {template.kind for template in ALL} == BROKER
    assert {template.topic for template in of(TemplateKind.PUBLISH_CHECK)} == {
        template.topic for template in of(TemplateKind.TOPIC)
    }


@every_template
def test_every_topic_and_queue_is_fifo_and_deduplicates_by_the_id_of_the_sender(template: Template) -> None:
    found = resolved(template)
    for _, topic in found.resources("SNS::Topic"):
        assert (topic["FifoTopic"], topic["ContentBasedDeduplication"]) == (True, False)
        assert topic["TopicName"].endswith(".fifo")
    for _, queue in found.resources("SQS::Queue"):
        assert (queue["FifoQueue"], queue["ContentBasedDeduplication"]) == (True, False)
        assert queue["QueueName"].endswith(".fifo")
        assert len(queue["QueueName"]) <= 80 - 30


@pytest.mark.parametrize(
    ("throughput", "expected"),
    [("high", {"MessageGroup", "messageGroup", "perMessageGroupId"}), ("standard", {"Topic", "queue", "perQueue"})],
)
def test_one_parameter_sets_all_scopes(throughput: str, expected: set[str]) -> None:
    templates = [resolved(template, throughput) for template in ALL]
    topics = itertools.chain.from_iterable(template.resources("SNS::Topic") for template in templates)
    queues = itertools.chain.from_iterable(template.resources("SQS::Queue") for template in templates)
    scopes = {topic["FifoThroughputScope"] for _, topic in topics}
    scopes |= {queue[name] for _, queue in queues for name in ("DeduplicationScope", "FifoThroughputLimit")}
    assert scopes == expected


def test_all_templates_have_the_same_parameters() -> None:
    parameters = {template: resolved(template).document["Parameters"] for template in ALL}
    for template, found in parameters.items():
        # The topic limits the size of messages; its queues have the maximum.
        assert ("MessageBytes" in found) == (template.kind is TemplateKind.TOPIC)
    first, *others = [{k: v for k, v in found.items() if k != "MessageBytes"} for found in parameters.values()]
    assert all(other == first for other in others)
    assert set(first) == {"Prefix", "Throughput", "EncryptionKey", "AlarmTopic"}


@every_template
def test_queues_do_not_limit_the_size_of_messages(template: Template) -> None:
    for _, queue in resolved(template).resources("SQS::Queue"):
        assert queue["MaximumMessageSize"] == LARGEST_BYTES


@every_topic
def test_the_default_limit_of_messages_is_that_of_events(template: Template) -> None:
    parameter = resolved(template).document["Parameters"]["MessageBytes"]
    assert int(parameter["Default"]) == DEFAULT_BYTES
    assert int(resolved(template, MessageBytes="300000").only("SNS::Topic")["MaximumMessageSize"]) == 300000


@every_template
def test_every_queue_is_encrypted_and_requires_tls(template: Template) -> None:
    found = resolved(template)
    for logical_id, queue in found.resources("SQS::Queue"):
        assert queue["SqsManagedSseEnabled"] is True
        refused = found.statements("SQS::QueuePolicy", logical_id)["TlsOnly"]
        assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "sqs:*")
        assert refused["Resource"] == f"{logical_id}.Arn"
        assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@every_topic
def test_the_topic_has_its_name_and_requires_tls(template: Template) -> None:
    found = resolved(template)
    assert found.only("SNS::Topic")["TopicName"] == NAMES.topic(template.topic)
    refused = found.statements("SNS::TopicPolicy", "Topic")["TlsOnly"]
    assert (refused["Effect"], refused["Action"], refused["Resource"]) == ("Deny", "sns:Publish", "Topic")
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@with_subscription
def test_only_the_topic_may_send_to_a_queue(template: Template) -> None:
    found = resolved(template)
    for logical_id, queue in found.resources("SQS::Queue"):
        allowed = [
            statement
            for statement in found.statements("SQS::QueuePolicy", logical_id).values()
            if statement["Effect"] == "Allow"
        ]
        if queue["QueueName"].endswith("-dlq.fifo"):
            assert allowed == []  # SQS itself moves messages here
            continue
        (statement,) = allowed
        assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
        assert (statement["Action"], statement["Resource"]) == ("sqs:SendMessage", f"{logical_id}.Arn")
        assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": topic_arn(template)}}


@with_subscription
def test_the_subscription_is_raw_and_created_after_the_policies(template: Template) -> None:
    found = resolved(template)
    subscription = found.only("SNS::Subscription")
    assert subscription["RawMessageDelivery"] is True
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("sqs", "Queue.Arn")
    assert subscription["TopicArn"] == topic_arn(template)
    policies = {name for name, policy in found.resources("SQS::QueuePolicy") if policy["Queues"] != ["DeadLetters"]}
    assert set(found.document["Resources"]["Subscription"]["DependsOn"]) == policies


@every_subscriber
def test_a_subscriber_has_two_dead_letter_queues(template: Template) -> None:
    found = resolved(template)
    queues = dict(found.resources("SQS::Queue"))
    name = queues["Queue"]["QueueName"]
    assert name == f"p-{template.name}.fifo"
    assert queues["DeadLetters"]["QueueName"] == dead_letters(name)
    assert queues["Undelivered"]["QueueName"] == undelivered(name)
    redrive = queues["Queue"]["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == "DeadLetters.Arn"
    assert 10 <= redrive["maxReceiveCount"] <= 1000
    assert queues["DeadLetters"]["RedriveAllowPolicy"] == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [f"arn:aws:sqs:us-east-1:000000000000:{name}"],
    }
    subscription = found.only("SNS::Subscription")
    assert subscription["RedrivePolicy"] == {"deadLetterTargetArn": "Undelivered.Arn"}
    for queue in ("DeadLetters", "Undelivered"):
        assert queues[queue]["MessageRetentionPeriod"] == 14 * DAY
        assert "RedrivePolicy" not in queues[queue]


def test_notification_receives_the_events_that_it_notifies() -> None:
    (template,) = [template for template in ALL if template.name == "notification-order-events"]
    found = resolved(template)
    assert dict(found.resources("SQS::Queue"))["Queue"]["QueueName"] == NAMES.queue("notification", "order-events")
    subscription = found.only("SNS::Subscription")
    assert subscription["FilterPolicyScope"] == "MessageAttributes"
    types = ["order.placed", "order.confirmed", "order.shipped", "order.delivered", "order.cancelled"]
    assert subscription["FilterPolicy"] == {"type": types}
    assert set(types) <= {event.type for event in ORDER_EVENTS}


@every_check
def test_the_publish_check_receives_every_event(template: Template) -> None:
    found = resolved(template)
    assert found.only("SQS::Queue")["QueueName"] == NAMES.publish_check(template.topic)
    assert "RedrivePolicy" not in found.only("SQS::Queue")
    subscription = found.only("SNS::Subscription")
    assert not {"FilterPolicy", "FilterPolicyScope", "RedrivePolicy"} & set(subscription)


@every_subscriber
def test_the_outbox_keeps_events_as_long_as_queues_keep_messages(template: Template) -> None:
    queues = dict(resolved(template).resources("SQS::Queue"))
    kept_hours = RelaySettings.model_fields["retention_hours"].default
    assert queues["Queue"]["MessageRetentionPeriod"] <= kept_hours * 3600


@every_check
def test_the_publish_check_keeps_confirmations_as_long_as_possible(template: Template) -> None:
    assert resolved(template).only("SQS::Queue")["MessageRetentionPeriod"] == 14 * DAY


@every_template
def test_every_resource_has_tags(template: Template) -> None:
    found = resolved(template)
    for _, resource in [*found.resources("SNS::Topic"), *found.resources("SQS::Queue")]:
        tags = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
        assert tags["application"] == "event-trio"
        assert (SERVICES / tags["service"]).is_dir()
