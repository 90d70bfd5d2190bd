"""The relay, a bare PublishBatch loop and a tutorial's relay on LocalStack, each on a topic of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.stub_broker.ordering import OrderCheck, OrderField
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench
from benchmarks.suite.events import make_events
from benchmarks.suite.interleaving import Measures, interleaved
from benchmarks.suite.processes import process, run_tool, service
from benchmarks.suite.relay import BARE, CHECK, RELAY, RUN_SECONDS, TOPIC, WARM_UP, relay_environment
from benchmarks.suite.results import NumberFound, RatioFound, Section
from event_trio.broker.aws import Aws, sns, sqs
from tools.embedded.localstack import EmbeddedLocalStack

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

QUEUE_ATTRIBUTES: Any = {
    "FifoQueue": "true",
    "DeduplicationScope": "messageGroup",
    "FifoThroughputLimit": "perMessageGroupId",
}
TUTORIAL = "tutorial relay"
READERS = 8
POLL_SECONDS = 0.2
SEQUENCE = OrderField("sequence")


@dataclass(frozen=True)
class BenchTopology:
    """A topic with a publish check, and a witness queue whose messages tell when they came."""

    prefix: str
    topic_arn: str
    queues: SQSClient
    witness_url: str


class LocalStackRuns:
    """One run of each candidate, with a topic, queues and a database of its own."""

    def __init__(self, bench: Bench, endpoint: str) -> None:
        self._bench = bench
        self._endpoint = endpoint
        self._numbers = itertools.count(1)
        self.problems: list[str] = []

    async def relay(self) -> Measures:
        """A relay process empties an outbox that is filled in one transaction."""
        sizes, warm_up = self._bench.sizes, max(10, round(self._bench.sizes.messages * WARM_UP))
        async with (
            self._topology() as topology,
            databases.copied(self._bench.admin_url, await self._bench.seed("order")) as url,
        ):
            environment = relay_environment(url, self._endpoint, in_flight=sizes.in_flight)
            environment["TOPOLOGY_PREFIX"] = topology.prefix
            async with service("services.relay.main", environment, self._bench.folder, name=RELAY) as measured:
                for count, prefix in ((warm_up, "warm-up"), (sizes.messages, "measured")):
                    groups = min(count, sizes.groups)
                    await databases.record(url, make_events(count, groups, sizes.lines, prefix=prefix))
                    await _until_published(url)
                    measured.ensure_running()
            confirmed = await databases.fetch_value(
                url, "SELECT extract(epoch FROM max(published_at)) FROM outbox_event"
            )
            begin, end = await self._witnessed(topology, warm_up + sizes.messages, "measured-", RELAY)
        return {"accepted/s": sizes.messages / (end - begin), "confirmed/s": sizes.messages / (confirmed - begin)}

    async def bare(self) -> Measures:
        """The stock client publishes the same events in a closed loop."""
        sizes = self._bench.sizes
        options = {
            "events": sizes.messages,
            "groups": sizes.groups,
            "lines": sizes.lines,
            "in-flight": sizes.in_flight,
            "prefix": "measured",
        }
        async with self._topology() as topology:
            arguments = [*self._where(topology), *(f"--{name}={value}" for name, value in options.items())]
            folder = self._bench.folder
            await run_tool("benchmarks.bare.publish", arguments, folder, most_seconds=RUN_SECONDS)
            # Loops end in no order, so that the messages of a group that are in two calls may change places.
            begin, end = await self._witnessed(topology, sizes.messages, "measured-", None)
        return {"accepted/s": sizes.messages / (end - begin)}

    async def tutorial(self) -> Measures:
        """A relay as tutorials write it empties a table of its own."""
        count, sizes, folder = self._bench.sizes.slow_events, self._bench.sizes, self._bench.folder
        async with (
            self._topology() as topology,
            databases.copied(self._bench.admin_url, await self._bench.seed("order")) as url,
        ):
            arguments = [*self._where(topology), f"--database-url={url}"]
            filling = [f"--events={count}", f"--groups={min(count, sizes.groups)}", f"--lines={sizes.lines}", "--fill"]
            module = "benchmarks.rivals.tutorial_relay"
            await run_tool(module, [*arguments, *filling], folder, most_seconds=RUN_SECONDS)
            async with process(module, {}, folder, arguments=arguments):
                begin, end = await self._witnessed(topology, count, "tutorial-", TUTORIAL)
        return {"accepted/s": count / (end - begin)}

    def _where(self, topology: BenchTopology) -> list[str]:
        return [f"--endpoint={self._endpoint}", f"--topic-arn={topology.topic_arn}"]

    @asynccontextmanager
    async def _topology(self) -> AsyncIterator[BenchTopology]:
        aws, prefix = Aws(endpoint_url=self._endpoint), f"run{next(self._numbers)}-"
        async with sns(aws, call_seconds=30) as topics, sqs(aws, call_seconds=30) as queues:
            attributes = {"FifoTopic": "true", "FifoThroughputScope": "MessageGroup"}
            arn = (await topics.create_topic(Name=prefix + TOPIC, Attributes=attributes))["TopicArn"]
            urls = {}
            for name in (CHECK, "witness.fifo"):
                made = await queues.create_queue(QueueName=prefix + name, Attributes=QUEUE_ATTRIBUTES)
                urls[name] = made["QueueUrl"]
                await topics.subscribe(
                    TopicArn=arn,
                    Protocol="sqs",
                    Endpoint=arn.rpartition(":")[0].replace(":sns:", ":sqs:") + f":{prefix}{name}",
                    Attributes={"RawMessageDelivery": "true"},
                )
            try:
                yield BenchTopology(prefix, arn, queues, urls["witness.fifo"])
            finally:
                await topics.delete_topic(TopicArn=arn)
                for url in urls.values():
                    await queues.delete_queue(QueueUrl=url)

    async def _witnessed(
        self, topology: BenchTopology, count: int, prefix: str, who: str | None
    ) -> tuple[float, float]:
        """When the first and the last message of these groups came, in seconds of the day's clock."""
        found = await _read_all(topology, count)
        if who is not None:
            self.problems += _problems(found, who)
        times = [int(each["Attributes"]["SentTimestamp"]) / 1000 for each in found if _group(each).startswith(prefix)]
        return min(times), max(times)


async def measure(bench: Bench) -> Section:
    """The relay over the bare loop and over a tutorial's relay."""
    sizes = bench.sizes
    async with EmbeddedLocalStack() as localstack:
        runs = LocalStackRuns(bench, localstack.endpoint_url)
        series = await interleaved(
            "localstack",
            {RELAY: runs.relay, BARE: runs.bare, TUTORIAL: runs.tutorial},
            rounds=sizes.rounds,
            most_seconds=sizes.most_seconds,
            show="accepted/s",
        )
    section = Section("Relay on LocalStack", problems=runs.problems)
    section.conditions += [
        f"{sizes.messages} events in {sizes.groups} groups ({sizes.slow_events} for the tutorial's relay), "
        f"{sizes.in_flight} calls in flight; a topic, a publish check and a witness queue for each run.",
        "Rates are taken from the times at which messages came to the witness queue, first to last. LocalStack shares "
        "the processors with what is measured.",
    ]
    null = series.null(RELAY, "accepted/s")
    section.ratios += [
        RatioFound(
            f"{RELAY} accepted / {other}, LocalStack",
            series.ratio((RELAY, "accepted/s"), (other, "accepted/s")),
            null,
            goal,
        )
        for other, goal in ((BARE, "relay-stock-localstack"), (TUTORIAL, "tutorial"))
    ]
    section.numbers += [
        NumberFound("accepted", "events/s", series.values(RELAY, "accepted/s")),
        NumberFound("confirmed", "events/s", series.values(RELAY, "confirmed/s")),
        NumberFound("bare loop", "events/s", series.values(BARE, "accepted/s")),
        NumberFound("tutorial relay", "events/s", series.values(TUTORIAL, "accepted/s")),
    ]
    return section


async def _until_published(url: str) -> None:
    async with asyncio.timeout(RUN_SECONDS):
        unpublished = "SELECT count(*) FROM outbox_event WHERE published_at IS NULL"
        while await databases.fetch_value(url, unpublished):  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(POLL_SECONDS)


async def _read_all(topology: BenchTopology, count: int) -> list[Any]:
    """So many messages of the witness queue; raises TimeoutError when they do not come."""
    found: list[Any] = []
    deadline = time.monotonic() + RUN_SECONDS

    async def read() -> None:
        while len(found) < count and time.monotonic() < deadline:
            answer = await topology.queues.receive_message(
                QueueUrl=topology.witness_url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=1,
                MessageSystemAttributeNames=["All"],
            )
            messages = answer.get("Messages", [])
            found.extend(messages)
            if messages:
                await topology.queues.delete_message_batch(
                    QueueUrl=topology.witness_url,
                    Entries=[
                        {"Id": str(index), "ReceiptHandle": each["ReceiptHandle"]}
                        for index, each in enumerate(messages)
                    ],
                )

    async with asyncio.TaskGroup() as readers:
        for _ in range(READERS):
            readers.create_task(read())
    if len(found) < count:
        raise TimeoutError(f"{len(found)} of {count} messages came to the witness queue in {RUN_SECONDS:.0f} s")
    return found


def _problems(found: list[Any], who: str) -> list[str]:
    check = OrderCheck()
    for each in sorted(found, key=lambda message: int(message["Attributes"]["SequenceNumber"])):
        check.see(_group(each), SEQUENCE.value(each["Body"].encode()))
    wrong = {"order violations": check.violations, "repeats": check.repeats, "missing": check.missing}
    return [f"{who}: {json.dumps(wrong)}"] if any(wrong.values()) else []


def _group(message: Any) -> str:
    return str(message["Attributes"]["MessageGroupId"])
