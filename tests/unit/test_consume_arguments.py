"""The arguments of `consume` are validated as settings are, and each error says what to do."""

from dataclasses import replace
from typing import Any

import pytest

from event_trio.consumer.api import consume
from event_trio.consumer.arguments import checked_options
from event_trio.consumer.options import ConsumerOptions
from event_trio.consumer.router import Router
from event_trio.errors import ConfigurationError

URL = "https://sqs.eu-central-1.amazonaws.com/1/orders.fifo"
USABLE = {"queue": "orders.fifo", "router": Router(), "database": "postgresql://127.0.0.1:1/none"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"queue": ""}, "queue is empty"),
        ({"queue": " "}, "queue is empty"),
        ({"queue": "arn:aws:sqs:eu-central-1:1:orders.fifo"}, "an ARN: give the name or the URL.*'orders.fifo'"),
        ({"queue": "https://sqs.example/1/"}, "no name at its end"),
        ({"dead_letter_queue": "orders.fifo"}, "dead_letter_queue is the queue itself"),
        ({"dead_letter_queue": URL}, "dead_letter_queue is the queue itself"),
        ({"undelivered_queue": "orders.fifo"}, "undelivered_queue is the queue itself"),
        ({"dead_letter_queue": "arn:aws:sqs:eu-central-1:1:dead.fifo"}, "dead_letter_queue is an ARN"),
        ({"consumer": ""}, "consumer must be a text"),
        ({"consumer": "c" * 300}, "consumer is longer than 256 bytes"),
        ({"unknown_types": "drop"}, "use 'dead_letter' or 'ignore'"),
        ({"options": {}}, "options is a dict: pass event_trio.consumer.ConsumerOptions"),
        ({"router": None}, "router is a NoneType"),
        ({"database": None}, "database is a NoneType"),
    ],
)
async def test_an_argument_that_cannot_be_used_is_reported(given: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {**USABLE, **given}
    with pytest.raises(ConfigurationError, match=message):
        await consume(**arguments)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inbox_retention_days": 1.0}, "inbox_retention_days: Input should be greater than 1"),
        ({"inbox_retention_days": float("nan")}, "inbox_retention_days"),
        ({"outbox_retention_days": 0}, "outbox_retention_days"),
        ({"queue_wait_seconds": 21}, "queue_wait_seconds: Input should be less than or equal to 20"),
        ({"queue_wait_seconds": 1.5}, "queue_wait_seconds: Input should be a valid integer"),
        ({"visibility_seconds": 3}, "visibility_seconds"),
        ({"visibility_seconds": 43_201}, "visibility_seconds"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": "16"}, "concurrency: Input should be a valid integer"),
        ({"drain_seconds": 20.5}, "must be above queue_wait_seconds"),
        ({"payload_origins": "orders.example"}, "payload_origins: 'orders.example' must be a URL"),
        ({"payload_origins": 5}, "payload_origins must be a tuple"),
        ({"payload_token": "a b"}, "payload_token: must be printable ASCII"),
    ],
)
def test_an_option_out_of_bounds_is_reported(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        checked_options(replace(ConsumerOptions(), **given))


def test_the_defaults_are_usable_and_addresses_are_parsed() -> None:
    assert checked_options(None) == checked_options(ConsumerOptions()) == ConsumerOptions()
    text: Any = "http://127.0.0.1:8001, http://127.0.0.1:8002"
    parsed = checked_options(ConsumerOptions(payload_origins=text))
    assert parsed.payload_origins == ("http://127.0.0.1:8001", "http://127.0.0.1:8002")
