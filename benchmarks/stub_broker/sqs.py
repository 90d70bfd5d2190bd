"""SQS in the JSON protocol 1.0."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from hashlib import md5
from typing import Any

from benchmarks.stub_broker.broker import FIFO, Broker, Submission
from benchmarks.stub_broker.errors import RequestRefused, missing_queue
from benchmarks.stub_broker.queues import FifoQueue, StoredMessage

Parameters = Mapping[str, Any]

# AWS: a batch has at most ten entries.
MOST_ENTRIES = 10
DEFAULT_VISIBILITY = 30
RETENTION = "345600"
EXPIRED = (
    "Value for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
    "InvalidParameterValue",
)


def answer(broker: Broker, operation: str, given: Parameters, host: str, now: float) -> str:
    """The result of an operation other than ReceiveMessage, as JSON text. Raises RequestRefused."""
    done = OPERATIONS.get(operation)
    if done is None:
        raise RequestRefused("InvalidAction", f"The stub does not implement {operation}.")
    return done(broker, given, host, now)


def find_queue(broker: Broker, given: Parameters) -> tuple[str, FifoQueue]:
    """The queue that a request names by its URL. Raises RequestRefused."""
    name = str(given.get("QueueUrl", "")).rpartition("/")[2]
    queue = broker.queues.get(name)
    if queue is None:
        raise missing_queue(name)
    return name, queue


def received(messages: Iterable[StoredMessage], given: Parameters, account: str) -> str:
    """The result of ReceiveMessage. It has all system attributes if the request names any."""
    system = bool(given.get("MessageSystemAttributeNames") or given.get("AttributeNames"))
    attributes = bool(given.get("MessageAttributeNames"))
    found = ",".join(_message(message, account, system=system, attributes=attributes) for message in messages)
    return f'{{"Messages":[{found}]}}' if found else "{}"


def _message(message: StoredMessage, account: str, *, system: bool, attributes: bool) -> str:
    content = message.content
    parts = [
        f'{{"MessageId":"{message.message_id}","ReceiptHandle":"{message.handle}","MD5OfBody":"{content.md5}"'
        f',"Body":{content.body}'
    ]
    if system:
        parts.append(
            f',"Attributes":{{"SenderId":"{account}","SentTimestamp":"{message.sent_ms}"'
            f',"ApproximateReceiveCount":"{message.receives}"'
            f',"ApproximateFirstReceiveTimestamp":"{message.first_received_ms}"'
            f',"SequenceNumber":"{message.number:020d}","MessageGroupId":{json.dumps(message.group)}'
            f',"MessageDeduplicationId":{json.dumps(message.deduplication_id)}}}'
        )
    if attributes and content.attributes:
        parts.append(f',"MessageAttributes":{content.attributes}')
    parts.append("}")
    return "".join(parts)


def _get_queue_url(broker: Broker, given: Parameters, host: str, _: float) -> str:
    name = str(given.get("QueueName", ""))
    if name not in broker.queues:
        raise missing_queue(name)
    return json.dumps({"QueueUrl": _url(broker, host, name)})


def _create_queue(broker: Broker, given: Parameters, host: str, _: float) -> str:
    name = str(given.get("QueueName", ""))
    if not name.endswith(FIFO):
        raise RequestRefused("InvalidParameterValue", "The stub has FIFO queues only: the name ends with .fifo")
    broker.add_queue(name)
    return json.dumps({"QueueUrl": _url(broker, host, name)})


def _get_queue_attributes(broker: Broker, given: Parameters, _: str, __: float) -> str:
    name, queue = find_queue(broker, given)
    known = {
        "QueueArn": broker.arn("sqs", name),
        "CreatedTimestamp": str(broker.created),
        "LastModifiedTimestamp": str(broker.created),
        "ApproximateNumberOfMessages": str(queue.visible),
        "ApproximateNumberOfMessagesNotVisible": str(queue.in_flight),
        "ApproximateNumberOfMessagesDelayed": "0",
        "VisibilityTimeout": str(DEFAULT_VISIBILITY),
        "MessageRetentionPeriod": RETENTION,
        "FifoQueue": "true",
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    }
    wanted = set(given.get("AttributeNames") or ())
    return json.dumps({"Attributes": {k: v for k, v in known.items() if k in wanted or "All" in wanted}})


def _delete(broker: Broker, given: Parameters, _: str, now: float) -> str:
    _, queue = find_queue(broker, given)
    broker.entries["DeleteMessage"] += 1
    if not queue.delete(str(given.get("ReceiptHandle", "")), now):
        raise RequestRefused(EXPIRED[1], EXPIRED[0])
    return "{}"


def _delete_batch(broker: Broker, given: Parameters, _: str, now: float) -> str:
    _, queue = find_queue(broker, given)
    return _batch(broker, "DeleteMessageBatch", given, lambda entry: queue.delete(entry["ReceiptHandle"], now))


def _change(broker: Broker, given: Parameters, _: str, now: float) -> str:
    _, queue = find_queue(broker, given)
    broker.entries["ChangeMessageVisibility"] += 1
    if not queue.change_visibility(str(given.get("ReceiptHandle", "")), float(given.get("VisibilityTimeout", 0)), now):
        raise RequestRefused(EXPIRED[1], EXPIRED[0])
    return "{}"


def _change_batch(broker: Broker, given: Parameters, _: str, now: float) -> str:
    _, queue = find_queue(broker, given)

    def change(entry: Parameters) -> bool:
        return queue.change_visibility(entry["ReceiptHandle"], float(entry.get("VisibilityTimeout", 0)), now)

    return _batch(broker, "ChangeMessageVisibilityBatch", given, change)


def _send(broker: Broker, given: Parameters, _: str, now: float) -> str:
    _, queue = find_queue(broker, given)
    broker.entries["SendMessage"] += 1
    message_id, number = broker.send(queue, _submission(given), now)
    return json.dumps({"MessageId": message_id, "SequenceNumber": number, "MD5OfMessageBody": _md5(given)})


def _send_batch(broker: Broker, given: Parameters, _: str, now: float) -> str:
    _, queue = find_queue(broker, given)
    done = []
    for entry in _entries(broker, "SendMessageBatch", given):
        message_id, number = broker.send(queue, _submission(entry), now)
        done.append(
            {"Id": entry["Id"], "MessageId": message_id, "SequenceNumber": number, "MD5OfMessageBody": _md5(entry)}
        )
    return json.dumps({"Successful": done})


OPERATIONS: dict[str, Callable[[Broker, Parameters, str, float], str]] = {
    "GetQueueUrl": _get_queue_url,
    "CreateQueue": _create_queue,
    "GetQueueAttributes": _get_queue_attributes,
    "DeleteMessage": _delete,
    "DeleteMessageBatch": _delete_batch,
    "ChangeMessageVisibility": _change,
    "ChangeMessageVisibilityBatch": _change_batch,
    "SendMessage": _send,
    "SendMessageBatch": _send_batch,
}


def _batch(broker: Broker, operation: str, given: Parameters, apply: Callable[[Parameters], bool]) -> str:
    done, failed = [], []
    for entry in _entries(broker, operation, given):
        if apply(entry):
            done.append({"Id": entry["Id"]})
        else:
            failed.append({"Id": entry["Id"], "SenderFault": True, "Code": EXPIRED[1], "Message": EXPIRED[0]})
    return json.dumps({"Successful": done, "Failed": failed})


def _entries(broker: Broker, operation: str, given: Parameters) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = given.get("Entries") or []
    if not entries:
        raise RequestRefused("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > MOST_ENTRIES:
        raise RequestRefused("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10.")
    if len({entry.get("Id") for entry in entries}) < len(entries):
        raise RequestRefused("BatchEntryIdsNotDistinct", "Two or more entries have the same Id.")
    broker.entries[operation] += len(entries)
    return entries


def _submission(given: Parameters) -> Submission:
    group, deduplication_id = given.get("MessageGroupId"), given.get("MessageDeduplicationId")
    if not group or not deduplication_id:
        raise RequestRefused("MissingParameter", "The request must contain MessageGroupId and MessageDeduplicationId.")
    attributes = given.get("MessageAttributes")
    body = str(given.get("MessageBody", "")).encode()
    return Submission(body, str(group), str(deduplication_id), json.dumps(attributes) if attributes else "")


def _md5(given: Parameters) -> str:
    return md5(str(given.get("MessageBody", "")).encode(), usedforsecurity=False).hexdigest()


def _url(broker: Broker, host: str, name: str) -> str:
    return f"http://{host}/{broker.account}/{name}"
