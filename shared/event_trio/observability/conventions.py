"""The names of spans and their attributes: the semantic conventions of OpenTelemetry, in the version below.

Its messaging conventions are in development and may change, so no other module has a name of them:
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from __future__ import annotations

VERSION = "1.44.0"
SCHEMA_URL = f"https://opentelemetry.io/schemas/{VERSION}"

# Messaging: in development.
SYSTEM = "messaging.system"
SNS = "aws_sns"
SQS = "aws_sqs"
OUTBOX = "event_trio_outbox"
"""The outbox as the system of a created message, because no broker has seen it yet; a name of our own."""
DESTINATION = "messaging.destination.name"
CONSUMER = "messaging.consumer.group.name"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
BATCH_COUNT = "messaging.batch.message_count"
MESSAGE_ID = "messaging.message.id"
CONVERSATION_ID = "messaging.message.conversation_id"

CREATE = "create"
SEND = "send"
RECEIVE = "receive"
PROCESS = "process"

# CloudEvents: in development.
EVENT_ID = "cloudevents.event_id"
EVENT_SOURCE = "cloudevents.event_source"
EVENT_TYPE = "cloudevents.event_type"

# HTTP and errors: stable.
METHOD = "http.request.method"
ROUTE = "http.route"
STATUS = "http.response.status_code"
SERVER = "server.address"
PORT = "server.port"
ERROR = "error.type"

# Names of our own.
ATTEMPT = "event_trio.attempt"
DEFERRED = "event_trio.deferred"
OUTCOME = "event_trio.outcome"
REPUBLISHED = "event_trio.republished"
CHANNEL = "event_trio.channel"


def messaging(system: str, operation: str, destination: str) -> dict[str, str | int | bool]:
    """The attributes that every messaging span has. The name of the operation is its type."""
    return {SYSTEM: system, OPERATION: operation, OPERATION_TYPE: operation, DESTINATION: destination}
