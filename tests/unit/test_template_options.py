"""What the templates have on AWS alone, by their parameters: alarms, and a customer's own key."""

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
# By kind: metric of which resource, above which value.
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
def test_there_are_no_alarms_unless_somebody_is_told(template: Template) -> None:
    """LocalStack starts no CloudWatch, so a template without the parameter must not ask for one."""
    assert alarms(template) == []
    declared = resolved(template).document["Resources"].values()
    conditions = {part.get("Condition") for part in declared if part["Type"] == "AWS::CloudWatch::Alarm"}
    assert conditions == {"Alarmed"}


@every_template
def test_the_alarms_of_each_kind(template: Template) -> None:
    found = alarms(template, AlarmTopic=ALARM_TOPIC)
    seen = {(alarm["MetricName"], alarm["Dimensions"][0]["Value"], alarm["Threshold"]) for alarm in found}
    assert seen == EXPECTED[template.kind]
    for alarm in found:
        assert alarm["AlarmActions"] == [ALARM_TOPIC]
        too_few = alarm["MetricName"] == "outbox_live_relays"
        assert alarm["ComparisonOperator"] == ("LessThanThreshold" if too_few else "GreaterThanThreshold")
        # An idle queue reports nothing; a publisher that does not tell of its relays is a fault by itself.
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
def test_the_names_of_alarms_differ(template: Template) -> None:
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
def test_with_a_key_of_ones_own_everything_is_encrypted_with_it(template: Template) -> None:
    found = resolved(template, EncryptionKey=KEY)
    parts = [part for kind in ("SNS::Topic", "SQS::Queue") for _, part in found.resources(kind)]
    assert parts
    for part in parts:
        assert part["KmsMasterKeyId"] == KEY
        assert "SqsManagedSseEnabled" not in part  # a queue has one kind of encryption or the other


@every_template
def test_without_one_no_key_is_named(template: Template) -> None:
    found = resolved(template)
    for kind in ("SNS::Topic", "SQS::Queue"):
        assert all("KmsMasterKeyId" not in part for _, part in found.resources(kind))


@pytest.mark.parametrize(
    ("parameter", "right", "wrong"),
    [
        ("EncryptionKey", KEY, "alias/aws/sns"),  # AWS's own key lets no other service in
        ("AlarmTopic", ALARM_TOPIC, f"{ALARM_TOPIC}.fifo"),  # CloudWatch cannot tell a FIFO topic
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(parameter: str, right: str, wrong: str) -> None:
    pattern = resolved(ALL[0]).document["Parameters"][parameter]["AllowedPattern"]
    assert re.fullmatch(pattern, right)
    assert re.fullmatch(pattern, "")
    assert not re.fullmatch(pattern, wrong)
