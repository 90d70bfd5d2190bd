"""What a user of the library may import, and what an import brings with it."""

import importlib
import subprocess
import sys

import pytest

PUBLIC = {
    "event_trio": ["__version__"],
    "event_trio.broker.jetstream": [
        "JetStreamPublisher",
        "JetStreamSource",
        "connected",
        "create_topic",
        "open_broker",
        "subscribe",
    ],
    "event_trio.broker.rabbitmq": ["RabbitPublisher", "RabbitSource", "create_topic", "open_broker", "subscribe"],
    "event_trio.consumer": [
        *("Consumer", "ConsumerOptions", "DeadLetter", "DecodedMessage", "Decoder", "Event", "EventPayload"),
        "DependencyUnavailable",
        *("FailurePolicy", "Ignore", "JsonDecoder", "UnknownTypes", "Writes", "cloud_events"),
        *("PublishFailure", "Reject", "Rest", "Retry", "RetryInPlace", "RetryLater", "Router", "Stale", "Unit"),
        "consume",
    ],
    "event_trio.idempotency": ["install_tables"],
    "event_trio.inbox": [
        *("By", "DeadLetterNotFound", "DeadLetters", "DeferredMessageNotFound", "DeferredMessages"),
        *("MessageBlocked", "MessageBusy", "Selection", "Status", "install_tables"),
    ],
    "event_trio.migrations": ["install_idempotency_tables", "install_inbox_tables", "install_outbox_tables"],
    "event_trio.testing": [
        *("FakeClock", "MemoryQueue", "Publish", "QueueSuite", "Topology", "create_topology"),
        *("BrokerControl", "OpenSource", "PublisherSuite", "SUBSCRIBERS"),
    ],
    "event_trio.outbox": [
        *("EventPayload", "EventRejected", "EventRow", "OutboxNotifier", "OutboxWriter", "install_tables")
    ],
}
# What each package may not import, though it is installed here.
HEAVY = ("aioboto3", "aiobotocore", "alembic", "fastapi", "httpx", "jinja2", "prometheus_client", "pytest", "starlette")
WITHOUT = {
    "event_trio": (*HEAVY, "sqlalchemy", "asyncpg", "pydantic"),
    "event_trio.outbox": (*HEAVY, "pydantic_settings"),
    "event_trio.inbox": (*HEAVY, "pydantic_settings"),
    "event_trio.broker.jetstream": (*HEAVY, "sqlalchemy", "asyncpg", "aio_pika"),
    "event_trio.broker.rabbitmq": (*HEAVY, "sqlalchemy", "asyncpg", "nats"),
    "event_trio.consumer": ("alembic", "fastapi", "starlette", "uvicorn", "jwt", "jinja2", "pytest"),
    "event_trio.testing": ("alembic", "fastapi", "prometheus_client", "pytest", "sqlalchemy"),
    "event_trio.migrations": ("aioboto3", "fastapi", "httpx", "prometheus_client"),
}


@pytest.mark.parametrize("package", PUBLIC)
def test_its_public_names_are_these(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(PUBLIC[package])
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("package", WITHOUT)
def test_an_import_brings_only_what_its_extra_has(package: str) -> None:
    found = f"print(*(name for name in {WITHOUT[package]!r} if name in sys.modules))"
    program = f"import gc, sys; gc.disable(); import {package}; {found}"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=110)
    assert ran.stdout.split() == []
