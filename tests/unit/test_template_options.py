"""The parts of the templates for AWS only: alarms, and a customer managed key."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from event_trio.outbox.monitor import NAMESPACE
from infra import manifest
from infra.manifest import TEMPLATES, Template, TemplateKind
from tests.support.cloudformation import Resolved
from tests.support.documents import page
from tools.reference import metrics

ALL = manifest.load()
KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ALARM_TOPIC = "arn:aws:sns:us-east-1:000000000000:on-call"
# By kind of template: the metric, its resource and its threshold.
EXPECTED = {
    TemplateKind.TOPIC: {
        ("NumberOfNotificationsFailed", "Topic.TopicName", 0),
        ("NumberOfNotificationsFailedToRedriveToDlq", "Topic.TopicName", 0),
        ("outbox_live_relays", "Topic.TopicName", 1),
        ("outbox_oldest_unpublished_age_seconds", "Topic.TopicName", 60),
    },
    TemplateKind.SUBSCRIBER: {
        ("ApproximateAgeOfOldestMessage", "Queue.QueueName", 600),
        ("ApproximateNumberOfMessagesVisible", "DeadLetters.QueueName", 0),
        ("ApproximateNumberOfMessagesVisible", "Undelivered.QueueName", 0),
    },
    TemplateKind.PUBLISH_CHECK: {("ApproximateAgeOfOldestMessage", "Queue.QueueName", 300)},
}

every_template = pytest.mark.parametrize("template", ALL, ids=lambda template: template.name)


def resolved(template: Template, **parameters: str) -> Resolved:
    return Resolved(TEMPLATES / f"{template.name}.yaml", Prefix="p-", **parameters)


def alarms(template: Template, **parameters: str) -> list[Mapping[str, Any]]:
    return [alarm for _, alarm in resolved(template, **parameters).resources("CloudWatch::Alarm")]


@every_template
def test_there_are_no_alarms_without_an_alarm_topic(template: Template) -> None:
    """LocalStack runs without CloudWatch, so a template without the parameter must not declare alarms."""
    assert alarms(template) == []
    declared = resolved(template).document["Resources"].values()
    conditions = {part.get("Condition") for part in declared if part["Type"] == "AWS::CloudWatch::Alarm"}
    assert conditions == {"Alarmed"}


@every_template
def test_each_kind_of_template_has_its_alarms(template: Template) -> None:
    found = alarms(template, AlarmTopic=ALARM_TOPIC)
    seen = {(alarm["MetricName"], alarm["Dimensions"][0]["Value"], alarm["Threshold"]) for alarm in found}
    assert seen == EXPECTED[template.kind]
    for alarm in found:
        assert alarm["AlarmActions"] == [ALARM_TOPIC]
        too_few = alarm["MetricName"] == "outbox_live_relays"
        assert alarm["ComparisonOperator"] == ("LessThanThreshold" if too_few else "GreaterThanThreshold")
        # An idle queue reports no metrics, while a publisher that reports none is a fault.
        assert alarm["TreatMissingData"] == ("breaching" if too_few else "notBreaching")
        assert alarm["AlarmName"].startswith(f"event-trio-p-{template.name.removesuffix('-publish-check')}-")
        namespace, dimension = (
            ("AWS/SNS", "TopicName") if template.kind is TemplateKind.TOPIC else ("AWS/SQS", "QueueName")
        )
        if alarm["MetricName"].startswith("outbox_"):
            namespace = NAMESPACE
            assert alarm["MetricName"] in metrics.names()
        assert (alarm["Namespace"], alarm["Dimensions"][0]["Name"]) == (namespace, dimension)


@every_template
def test_the_names_of_alarms_are_unique(template: Template) -> None:
    names = [alarm["AlarmName"] for other in ALL for alarm in alarms(other, AlarmTopic=ALARM_TOPIC)]
    assert len(names) == len(set(names))


@every_template
def test_the_run_book_has_a_heading_for_every_alarm(template: Template) -> None:
    headings = {text for _, text in page("docs/how-to/run-book.md").headings}
    for alarm in alarms(template, AlarmTopic=ALARM_TOPIC):
        named = re.search(r"See docs/how-to/run-book\.md, ([a-z-]+)\.$", alarm["AlarmDescription"])
        assert named, alarm["AlarmDescription"]
        assert alarm["AlarmName"].endswith(f"-{named[1]}")
        assert f"`{named[1]}`" in headings


@every_template
def test_every_topic_and_queue_is_encrypted_with_the_given_key(template: Template) -> None:
    found = resolved(template, EncryptionKey=KEY)
    parts = [part for kind in ("SNS::Topic", "SQS::Queue") for _, part in found.resources(kind)]
    assert parts
    for part in parts:
        assert part["KmsMasterKeyId"] == KEY
        assert "SqsManagedSseEnabled" not in part  # a queue cannot have both kinds of encryption


@every_template
def test_no_key_is_declared_by_default(template: Template) -> None:
    found = resolved(template)
    for kind in ("SNS::Topic", "SQS::Queue"):
        assert all("KmsMasterKeyId" not in part for _, part in found.resources(kind))


@pytest.mark.parametrize(
    ("parameter", "valid", "invalid"),
    [
        ("EncryptionKey", KEY, "alias/aws/sns"),  # the AWS managed key does not grant access to other services
        ("AlarmTopic", ALARM_TOPIC, f"{ALARM_TOPIC}.fifo"),  # CloudWatch cannot notify a FIFO topic
    ],
)
def test_an_invalid_parameter_is_rejected_before_deployment(parameter: str, valid: str, invalid: str) -> None:
    pattern = resolved(ALL[0]).document["Parameters"][parameter]["AllowedPattern"]
    assert re.fullmatch(pattern, valid)
    assert re.fullmatch(pattern, "")
    assert not re.fullmatch(pattern, invalid)
