"""The process that keeps the topology on LocalStack: lost resources are restored with their dependants."""

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws, sns, sqs, topic_arn
from event_trio.broker.names import BrokerNames
from event_trio.broker.queue import Queue
from event_trio.signals import Facts, Signals
from infra.deploy import delete
from infra.localstack.inventory import BrokerInventory, DeclaredResources, MissingResources
from infra.localstack.watch import TopologyWatch
from tests.support.waiting import eventually
from tools.embedded.localstack import EmbeddedLocalStack

ROOT = Path(__file__).parents[2]


class Watched:
    """A topology that is watched."""

    def __init__(self, aws: Aws, names: BrokerNames, signals: Signals, ready_file: Path) -> None:
        self.aws = aws
        self.names = names
        self.signals = signals
        self.ready_file = ready_file

    async def complete(self, deployment: int, *, timeout: float = 30.0) -> Facts:
        """Wait until it was deployed this many times, and found complete afterwards."""
        facts = await self.signals.wait("topology.deployed", count=deployment, timeout=timeout)
        checks = len(self.signals.seen("topology.complete"))
        await self.signals.wait("topology.complete", count=checks + 1)
        return facts

    async def created(self, queue: str) -> str:
        async with sqs(self.aws) as client:
            attributes = await Queue(client, queue).attributes()
        return attributes["CreatedTimestamp"]

    async def subscribers(self) -> list[str]:
        """The subscribed queues of the topic of orders, in the order of delivery."""
        async with sns(self.aws) as client:
            found = (await client.list_subscriptions_by_topic(TopicArn=await self.topic()))["Subscriptions"]
        return [subscription["Endpoint"].rsplit(":", 1)[-1] for subscription in found]

    async def topic(self) -> str:
        """The ARN of the topic of orders."""
        return await topic_arn(self.aws, self.names.topic("order-events"))

    @property
    def all_subscribers(self) -> list[str]:
        return [self.names.queue("notification", "order-events"), self.names.publish_check("order-events")]


@asynccontextmanager
async def watching(aws: Aws, folder: Path) -> AsyncIterator[Watched]:
    prefix = f"w{secrets.token_hex(4)}-"
    signals, ready_file = Signals(), folder / "ready"
    watch = TopologyWatch(aws, prefix=prefix, watch_seconds=0.05, ready_file=ready_file, signals=signals)
    stopping = asyncio.Event()
    task = asyncio.create_task(watch.run(stopping))
    try:
        yield Watched(aws, BrokerNames(prefix), signals, ready_file)
    finally:
        stopping.set()
        await task
        await delete(aws, prefix=prefix)


@pytest.fixture
async def watched(aws: Aws, tmp_path: Path) -> AsyncIterator[Watched]:
    async with watching(aws, tmp_path) as found:
        await found.complete(1)
        yield found


async def test_it_deploys_and_writes_the_ready_file(watched: Watched) -> None:
    assert watched.ready_file.exists()
    assert await watched.subscribers() == watched.all_subscribers


async def test_a_deleted_queue_is_restored_and_the_check_subscribes_after_it(watched: Watched) -> None:
    queue = watched.names.queue("notification", "order-events")
    async with sqs(watched.aws) as client:
        await client.delete_queue(QueueUrl=await Queue(client, queue).url())
    facts = await watched.complete(2)
    assert facts["repaired"] == ["notification-order-events"]
    assert await watched.subscribers() == watched.all_subscribers
    assert await watched.created(queue)


async def test_a_deleted_subscription_is_restored(watched: Watched) -> None:
    async with sns(watched.aws) as client:
        first, *_ = (await client.list_subscriptions_by_topic(TopicArn=await watched.topic()))["Subscriptions"]
        await client.unsubscribe(SubscriptionArn=first["SubscriptionArn"])
    await watched.complete(2)
    assert await watched.subscribers() == watched.all_subscribers


async def test_a_deleted_topic_is_restored_with_its_subscribers(watched: Watched) -> None:
    other = watched.names.publish_check("notification-events")
    untouched = await watched.created(other)
    async with sns(watched.aws) as client:
        await client.delete_topic(TopicArn=await watched.topic())
    await watched.complete(2)
    assert await watched.subscribers() == watched.all_subscribers
    assert await watched.created(other) == untouched


async def test_a_topic_deleted_during_the_repair_of_its_subscriptions_is_restored(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker may delete the subscriptions of a topic first, and the watch may check in between."""
    real = BrokerInventory.missing

    async def without_the_topic(broker: BrokerInventory, expected: DeclaredResources) -> list[MissingResources]:
        found = await real(broker, expected)
        if any(part.template == "order-events" for part in found):
            monkeypatch.setattr(BrokerInventory, "missing", real)
        return [part for part in found if part.template != "order-events"]

    monkeypatch.setattr(BrokerInventory, "missing", without_the_topic)
    async with sns(watched.aws) as client:
        await client.delete_topic(TopicArn=await watched.topic())
    await watched.signals.wait("topology.failed", timeout=30)
    await watched.complete(2)
    assert sorted(await watched.subscribers()) == sorted(watched.all_subscribers)


async def test_the_topology_is_restored_after_a_restart_of_localstack(tmp_path: Path) -> None:
    server = EmbeddedLocalStack(tmp_path / "server")
    async with server, watching(Aws("us-east-1", server.endpoint_url), tmp_path) as watched:
        await watched.complete(1)
        await server.stop()
        await watched.signals.wait("topology.unreachable")
        assert not watched.ready_file.exists()
        await server.start()
        await watched.complete(2)
        assert watched.ready_file.exists()
        assert await watched.subscribers() == watched.all_subscribers


async def test_the_process_deploys_and_ends_on_sigterm(aws: Aws, tmp_path: Path) -> None:
    ready_file, prefix = tmp_path / "ready", f"w{secrets.token_hex(4)}-"
    with process(
        AWS_ENDPOINT_URL=str(aws.endpoint_url), TOPOLOGY_PREFIX=prefix, READY_FILE=str(ready_file), LOG_FORMAT="json"
    ) as watch:

        async def ready() -> bool:
            return ready_file.exists()

        await eventually(ready, timeout=30)
        watch.send_signal(signal.SIGTERM)
        output, _ = watch.communicate(timeout=20)
    await delete(aws, prefix=prefix)
    assert watch.returncode == 0
    assert not ready_file.exists()
    assert '"action": "topology.deployed"' in output


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (None, "AWS_ENDPOINT_URL is not set"),
        ("https://sqs.us-east-1.amazonaws.com", "AWS_ENDPOINT_URL is wrong.*is AWS"),
        ("localhost:4566", "AWS_ENDPOINT_URL is wrong.*must be a URL"),
    ],
)
def test_it_refuses_to_repair_aws(endpoint: str | None, message: str) -> None:
    with process(**({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})) as watch:
        _, errors = watch.communicate(timeout=30)
    assert watch.returncode == 2
    assert re.search(message, errors)


@contextmanager
def process(**settings: str) -> Iterator[subprocess.Popen[str]]:
    """The watch as a process with its own environment; killed at the end if it still runs."""
    child = subprocess.Popen(
        [sys.executable, "-m", "infra.localstack.watch"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
