"""SNS (and the one call of STS) in the query protocol: form fields in, XML out."""

from __future__ import annotations

import json
from binascii import a2b_qp
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html import escape

from benchmarks.stub_broker.broker import FIFO, Broker, Submission, Topic, TopicSubscription
from benchmarks.stub_broker.errors import RequestRefused, missing_queue

Fields = Mapping[bytes, bytes]
"""Names and values as they came, still percent-encoded."""

NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
# AWS: PublishBatch takes at most ten entries and, at default settings, 256 KiB.
MOST_ENTRIES = 10
MOST_BYTES = 262_144
MEMBER = b"PublishBatchRequestEntries.member."


def decoded(value: bytes) -> bytes:
    """A form value without percent-encoding."""
    if b"%" not in value and b"+" not in value:
        return value
    # Quoted-printable differs in its mark only, and is decoded in C. An encoded value has no `=` of its own.
    return a2b_qp(value.replace(b"+", b" ").replace(b"%", b"="))


def parse(body: bytes) -> dict[bytes, bytes]:
    """The fields of a form."""
    return dict(part.partition(b"=")[::2] for part in body.split(b"&"))


def answer(broker: Broker, action: str, fields: Fields, now: float) -> str:
    """The result of an action as XML. Raises RequestRefused."""
    operation = OPERATIONS.get(action)
    if operation is None:
        raise RequestRefused("InvalidAction", f"The stub does not implement {action}.")
    return operation(broker, fields, now)


def _publish_batch(broker: Broker, fields: Fields, now: float) -> str:
    name, topic = _topic(broker, fields)
    entries = _entries(fields)
    _ensure_batch(entries)
    done, failed = [], []
    broker.entries["PublishBatch"] += len(entries)
    for entry in entries:
        entry_id = escape(decoded(entry.get(b"Id", b"")).decode())
        try:
            message_id, number = broker.publish(name, topic, _message(entry), now)
        except RequestRefused as error:
            failed.append(
                f"<member><Id>{entry_id}</Id><Code>{error.code}</Code><Message>{escape(str(error))}</Message>"
                "<SenderFault>true</SenderFault></member>"
            )
        else:
            done.append(
                f"<member><Id>{entry_id}</Id><MessageId>{message_id}</MessageId>"
                f"<SequenceNumber>{number}</SequenceNumber></member>"
            )
    return f"<Failed>{''.join(failed)}</Failed><Successful>{''.join(done)}</Successful>"


def _publish(broker: Broker, fields: Fields, now: float) -> str:
    name, topic = _topic(broker, fields)
    broker.entries["Publish"] += 1
    message_id, number = broker.publish(name, topic, _message(fields), now)
    return f"<MessageId>{message_id}</MessageId><SequenceNumber>{number}</SequenceNumber>"


def _get_topic_attributes(broker: Broker, fields: Fields, _: float) -> str:
    name, topic = _topic(broker, fields)
    return _map(
        {
            "TopicArn": broker.arn("sns", name),
            "FifoTopic": "true",
            "FifoThroughputScope": "MessageGroup",
            "ContentBasedDeduplication": "false",
            "SubscriptionsConfirmed": str(len(topic.subscriptions)),
        }
    )


def _list_subscriptions(broker: Broker, fields: Fields, _: float) -> str:
    name, topic = _topic(broker, fields)
    members = "".join(
        f"<member><TopicArn>{broker.arn('sns', name)}</TopicArn><Protocol>sqs</Protocol>"
        f"<SubscriptionArn>{_subscription_arn(broker, name, each)}</SubscriptionArn><Owner>{broker.account}</Owner>"
        f"<Endpoint>{broker.arn('sqs', each.queue)}</Endpoint></member>"
        for each in topic.subscriptions
    )
    return f"<Subscriptions>{members}</Subscriptions>"


def _get_subscription_attributes(broker: Broker, fields: Fields, _: float) -> str:
    arn = decoded(fields.get(b"SubscriptionArn", b"")).decode()
    for name, topic in broker.topics.items():
        for each in topic.subscriptions:
            if _subscription_arn(broker, name, each) == arn:
                policy = {attribute: sorted(values) for attribute, values in each.allowed.items()}
                known = {
                    "SubscriptionArn": arn,
                    "RawMessageDelivery": "true",
                    "Endpoint": broker.arn("sqs", each.queue),
                }
                return _map(known | ({"FilterPolicy": json.dumps(policy)} if policy else {}))
    raise RequestRefused("NotFound", "Subscription does not exist", status=404)


def _create_topic(broker: Broker, fields: Fields, _: float) -> str:
    name = decoded(fields.get(b"Name", b"")).decode()
    if not name.endswith(FIFO):
        raise RequestRefused("InvalidParameter", "The stub has FIFO topics only: the name ends with .fifo")
    broker.add_topic(name)
    return f"<TopicArn>{broker.arn('sns', name)}</TopicArn>"


def _subscribe(broker: Broker, fields: Fields, _: float) -> str:
    """Deliveries are always raw. The filter policy may list exact values of attributes."""
    name, _topic_found = _topic(broker, fields)
    queue = decoded(fields.get(b"Endpoint", b"")).decode().rpartition(":")[2]
    if queue not in broker.queues:
        raise missing_queue(queue)
    attributes = {
        decoded(value): decoded(fields.get(key.replace(b".key", b".value"), b""))
        for key, value in fields.items()
        if key.startswith(b"Attributes.entry.") and key.endswith(b".key")
    }
    policy: dict[str, list[str]] = json.loads(attributes.get(b"FilterPolicy", b"{}"))
    subscription = TopicSubscription(queue, {attribute: frozenset(values) for attribute, values in policy.items()})
    broker.subscribe(name, queue, subscription.allowed)
    return f"<SubscriptionArn>{_subscription_arn(broker, name, subscription)}</SubscriptionArn>"


def _get_caller_identity(broker: Broker, _: Fields, __: float) -> str:
    return f"<Arn>arn:aws:iam::{broker.account}:root</Arn><UserId>stub</UserId><Account>{broker.account}</Account>"


OPERATIONS: dict[str, Callable[[Broker, Fields, float], str]] = {
    "PublishBatch": _publish_batch,
    "Publish": _publish,
    "GetTopicAttributes": _get_topic_attributes,
    "ListSubscriptionsByTopic": _list_subscriptions,
    "GetSubscriptionAttributes": _get_subscription_attributes,
    "CreateTopic": _create_topic,
    "Subscribe": _subscribe,
    "GetCallerIdentity": _get_caller_identity,
}


def _topic(broker: Broker, fields: Fields) -> tuple[str, Topic]:
    name = decoded(fields.get(b"TopicArn", b"")).decode().rpartition(":")[2]
    topic = broker.topics.get(name)
    if topic is None:
        raise RequestRefused("NotFound", "Topic does not exist", status=404)
    return name, topic


def _entries(fields: Fields) -> list[dict[bytes, bytes]]:
    entries: dict[bytes, dict[bytes, bytes]] = {}
    for key, value in fields.items():
        if key.startswith(MEMBER):
            number, _, name = key[len(MEMBER) :].partition(b".")
            entries.setdefault(number, {})[name] = value
    return list(entries.values())


def _ensure_batch(entries: Sequence[Fields]) -> None:
    if not entries:
        raise RequestRefused("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(entries) > MOST_ENTRIES:
        raise RequestRefused("TooManyEntriesInBatchRequest", "The batch request contains more than 10 entries.")
    if len({entry.get(b"Id") for entry in entries}) < len(entries):
        raise RequestRefused("BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id.")
    messages = [entry.get(b"Message", b"") for entry in entries]
    # Encoded they are longer: most batches need not be decoded for this.
    if sum(map(len, messages)) > MOST_BYTES and sum(len(decoded(each)) for each in messages) > MOST_BYTES:
        raise RequestRefused("BatchRequestTooLong", "The batch is longer than the limit of 262144 bytes.")


def _message(fields: Fields) -> Submission:
    group, deduplication_id = fields.get(b"MessageGroupId"), fields.get(b"MessageDeduplicationId")
    if not group or not deduplication_id:
        raise RequestRefused("InvalidParameter", "The message needs MessageGroupId and MessageDeduplicationId")
    body = decoded(fields.get(b"Message", b""))
    if not body:
        raise RequestRefused("InvalidParameter", "Empty message")
    if len(body) > MOST_BYTES:
        raise RequestRefused("InvalidParameter", "Message too long")
    return Submission(body, decoded(group).decode(), decoded(deduplication_id).decode(), _attributes(fields))


def _attributes(fields: Fields) -> str:
    given = tuple(item for item in fields.items() if item[0].startswith(b"MessageAttributes.entry."))
    return _attributes_as_json(given) if given else ""


@lru_cache(maxsize=1000)
def _attributes_as_json(given: tuple[tuple[bytes, bytes], ...]) -> str:
    entries: dict[bytes, dict[str, str]] = {}
    for key, value in given:
        _, _, number, name = key.split(b".", 3)
        entries.setdefault(number, {})[name.rpartition(b".")[2].decode()] = decoded(value).decode()
    return json.dumps({entry.pop("Name"): entry for entry in entries.values()})


def _map(values: Mapping[str, str]) -> str:
    entries = "".join(f"<entry><key>{key}</key><value>{escape(value)}</value></entry>" for key, value in values.items())
    return f"<Attributes>{entries}</Attributes>"


def _subscription_arn(broker: Broker, topic: str, subscription: TopicSubscription) -> str:
    return f"{broker.arn('sns', topic)}:{subscription.queue.removesuffix(FIFO)}"
