"""A stock client, the lean client that wraps it, and the outcome of a call for comparison."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from aiobotocore.config import AioConfig
from botocore.exceptions import HTTPClientError, SSLError

from event_trio.broker import aws_session
from event_trio.broker.lean import lean

TOPIC = "arn:aws:sns:us-east-1:000000000000:order-events.fifo"
QUEUE = "http://sqs.us-east-1.localhost:4566/000000000000/orders.fifo"
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "publish_batch": (
        "sns",
        {
            "TopicArn": TOPIC,
            "PublishBatchRequestEntries": [
                {"Id": "0", "Message": '{"a": 1}', "MessageGroupId": "g", "MessageDeduplicationId": "d"}
            ],
        },
    ),
    "receive_message": (
        "sqs",
        {"QueueUrl": QUEUE, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0, "MessageAttributeNames": ["All"]},
    ),
    "delete_message_batch": ("sqs", {"QueueUrl": QUEUE, "Entries": [{"Id": "0", "ReceiptHandle": "h"}]}),
    "change_message_visibility_batch": (
        "sqs",
        {"QueueUrl": QUEUE, "Entries": [{"Id": "0", "ReceiptHandle": "h", "VisibilityTimeout": 30}]},
    ),
}
"""A call of each method of the lean path, with the service that has it."""

Pair: TypeAlias = tuple[Any, Any]


@asynccontextmanager
async def both_clients(service: str, url: str, *, verify: Any = False, **config: Any) -> AsyncIterator[Pair]:
    """The stock client, and the lean client that wraps it. Both make one attempt unless `retries` is given."""
    options = {"retries": {"total_max_attempts": 1, "mode": "standard"}, **aws_session.options(url), **config}
    clients: Any = aws_session.session("us-east-1", url)
    made = clients.client(service, endpoint_url=url, verify=verify, config=AioConfig(**options))
    async with made as stock, lean(stock) as before_it:
        yield stock, before_it


async def outcome(client: Any, method: str, parameters: dict[str, Any]) -> Any:
    """The answer, or the exception's class, text and response, by which two calls can be compared."""
    try:
        return await getattr(client, method)(**parameters)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        # The texts of these quote the HTTP library's exception; those of other subclasses do not.
        text = "" if type(error) in (HTTPClientError, SSLError) else str(error)
        return type(error), text, getattr(error, "response", None)
