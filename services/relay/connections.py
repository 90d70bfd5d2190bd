"""Opens the connections of a relay to its database and its broker."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.opened import OpenedBroker, find_broker
from event_trio.broker.queue import Queue
from event_trio.database.connections import Pool, open_pool

from .settings import AWS, RelaySettings

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient

CONNECTIONS = 6
# The lease has a connection of its own, so that long sweeps and replays cannot delay its renewal.
LEASE_CONNECTIONS = 1
# Operators' requests have a pool of their own, so that they cannot take the relay's connections.
OPERATOR_CONNECTIONS = 2
# Receives and deletes of the publish check at the same time, and the readiness check.
CHECK_CONNECTIONS = 40
# HTTP connections of the SDK beyond those of the calls in flight, for the readiness checks.
SPARE_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class AwsClients:
    """SNS and SQS."""

    aws: Aws
    sns: SNSClient
    check_queue: Queue


@dataclass(frozen=True, slots=True)
class Connections:
    """The pools and clients of one relay."""

    pool: Pool
    lease_pool: Pool
    operator_pool: Pool
    broker: AwsClients | OpenedBroker


async def connect(settings: RelaySettings, stack: AsyncExitStack) -> Connections:
    """Create the pools and clients; they connect when they are used, and `stack` closes them."""

    async def pool(application_name: str, size: int) -> Pool:
        url = settings.database_url.get_secret_value()
        return await stack.enter_async_context(open_pool(url, application_name=application_name, max_size=size))

    return Connections(
        pool=await pool("relay", CONNECTIONS),
        lease_pool=await pool("relay-lease", LEASE_CONNECTIONS),
        operator_pool=await pool("relay-operators", OPERATOR_CONNECTIONS),
        broker=await _open_broker(settings, stack),
    )


async def _open_broker(settings: RelaySettings, stack: AsyncExitStack) -> AwsClients | OpenedBroker:
    if settings.broker != AWS:
        url = settings.broker_url.get_secret_value() if settings.broker_url else ""
        opened = find_broker(settings.broker)(url, settings.topic_name, call_seconds=settings.call_seconds)
        return await stack.enter_async_context(opened)
    aws = Aws(settings.aws_region, settings.aws_endpoint_url, settings.aws_client)
    http_connections = settings.batches_in_flight + SPARE_CONNECTIONS
    sns_client = sns(aws, call_seconds=settings.call_seconds, connections=http_connections)
    sqs_client = await stack.enter_async_context(
        sqs(aws, call_seconds=settings.call_seconds, connections=CHECK_CONNECTIONS)
    )
    check_queue = settings.names.publish_check(settings.topic)
    return AwsClients(
        aws, await stack.enter_async_context(sns_client), Queue(sqs_client, check_queue, without_attributes=True)
    )
