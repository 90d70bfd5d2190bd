"""Where containers are required, the tests' servers are containers, and the modules of testcontainers start them."""

from urllib.parse import urlsplit

import pytest

from event_trio.broker.aws import Aws, sqs
from event_trio.database.connections import connect
from tests.support import containers
from tests.support.servers import PostgresServer

pytestmark = pytest.mark.skipif(not containers.required(), reason=f"{containers.REQUIRED} is not set")


def published(image: str) -> set[int]:
    """The ports of this machine that lead into containers of an image."""
    import docker

    client = docker.from_env()
    try:
        found = [container.attrs for container in client.containers.list(filters={"ancestor": image})]
    finally:
        client.close()
    bindings = [binding for one in found for binding in one["NetworkSettings"]["Ports"].values() if binding]
    return {int(place["HostPort"]) for binding in bindings for place in binding}


async def test_postgres_is_a_container(postgres: PostgresServer) -> None:
    assert urlsplit(postgres.admin_url).port in published(containers.POSTGRES_IMAGE)
    connection = await connect(postgres.admin_url)
    try:
        assert await connection.fetchval("SHOW wal_level") == "logical"
    finally:
        await connection.close()


async def test_localstack_is_a_container(localstack: str) -> None:
    assert urlsplit(localstack).port in published(containers.LOCALSTACK_IMAGE)
    async with sqs(Aws(endpoint_url=localstack)) as client:
        url = (await client.create_queue(QueueName="of-a-container"))["QueueUrl"]
        await client.delete_queue(QueueUrl=url)
    assert urlsplit(url).port == urlsplit(localstack).port
