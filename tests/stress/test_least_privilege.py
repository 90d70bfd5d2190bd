"""The IAM policies of the processes, enforced: what each may do, what is denied, and that the system works with them.

LocalEmu 1.3.2 evaluates identity policies for every call, and of queue and topic policies what they deny. It does not
match the ARN of a subscription and of a message move task, so calls that name only such an ARN are left out here.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from botocore.exceptions import ClientError

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from infra.deploy import deploy
from tests.support.databases import TestDatabase
from tests.support.localemu import ACCOUNT, ADMINISTRATOR, PYTHON, REGION, Caller, LocalEmu, role_with, user_with
from tests.support.processes import service_process
from tests.support.trio import SystemEnvironment, ready, relay, trio
from tests.support.waiting import eventually, run

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not PYTHON.exists(), reason="LocalEmu is not installed: make test-roles installs it"),
]
PREFIX = "roles-"
DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
PROCESSES = ("Service", "Relay", "Redrive")
NUMBERS = itertools.count()

Clients: TypeAlias = dict[str, Any]
"""The clients of one caller, by the name of the AWS service."""
Call: TypeAlias = Callable[[Clients], Awaitable[object]]


@dataclass(frozen=True)
class Emulated:
    """A LocalEmu with the topology and the policies, and the ARN of each policy by service and process."""

    server: LocalEmu
    policies: Mapping[tuple[str, str], str]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    server = LocalEmu(tmp_path_factory.mktemp("localemu"))
    try:
        run(server.start())
        outputs = run(deploy(Aws(REGION, server.url("http")), prefix=PREFIX, access=True))
        policies = {
            (service, process): outputs[f"access-{service}"][f"{process}PolicyArn"]
            for service in ("order", "notification")
            for process in PROCESSES
        }
        yield Emulated(server, policies)
    finally:
        run(server.stop())


def queue_calls(server: LocalEmu, name: str) -> dict[str, Call]:
    """Calls that concern a queue, with valid parameters where they change nothing."""
    url = f"{server.url()}/queue/{REGION}/{ACCOUNT}/{PREFIX}{name}.fifo"

    def send(clients: Clients) -> Awaitable[object]:
        ids = {"MessageGroupId": "forged", "MessageDeduplicationId": str(next(NUMBERS))}
        sent: Awaitable[object] = clients["sqs"].send_message(QueueUrl=url, MessageBody="forged", **ids)
        return sent

    hidden = {"Id": "1", "ReceiptHandle": "none", "VisibilityTimeout": 1}
    return {
        "receive": lambda clients: clients["sqs"].receive_message(QueueUrl=url, WaitTimeSeconds=0),
        "delete": lambda clients: clients["sqs"].delete_message_batch(
            QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": "none"}]
        ),
        "visibility": lambda clients: clients["sqs"].change_message_visibility_batch(QueueUrl=url, Entries=[hidden]),
        "attributes": lambda clients: clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["All"]),
        "url": lambda clients: clients["sqs"].get_queue_url(QueueName=f"{PREFIX}{name}.fifo"),
        "send": send,
        "purge": lambda clients: clients["sqs"].purge_queue(QueueUrl=url),
        "set attributes": lambda clients: clients["sqs"].set_queue_attributes(
            QueueUrl=url, Attributes={"VisibilityTimeout": "60"}
        ),
        "tag": lambda clients: clients["sqs"].tag_queue(QueueUrl=url, Tags={"forged": "yes"}),
        "delete queue": lambda clients: clients["sqs"].delete_queue(QueueUrl=url),
    }


def topic_calls(name: str) -> dict[str, Call]:
    """Calls that concern a topic."""
    arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{PREFIX}{name}.fifo"
    elsewhere = f"arn:aws:sqs:{REGION}:{ACCOUNT}:elsewhere.fifo"

    def publish(clients: Clients) -> Awaitable[object]:
        entry = {"Id": "1", "Message": "{}", "MessageGroupId": "g", "MessageDeduplicationId": str(next(NUMBERS))}
        sent: Awaitable[object] = clients["sns"].publish_batch(TopicArn=arn, PublishBatchRequestEntries=[entry])
        return sent

    return {
        "publish": publish,
        "topic attributes": lambda clients: clients["sns"].get_topic_attributes(TopicArn=arn),
        "subscriptions": lambda clients: clients["sns"].list_subscriptions_by_topic(TopicArn=arn),
        "subscribe": lambda clients: clients["sns"].subscribe(TopicArn=arn, Protocol="sqs", Endpoint=elsewhere),
        "set topic attributes": lambda clients: clients["sns"].set_topic_attributes(
            TopicArn=arn, AttributeName="DisplayName", AttributeValue="forged"
        ),
        "delete topic": lambda clients: clients["sns"].delete_topic(TopicArn=arn),
    }


def account_calls() -> dict[str, Call]:
    """Calls that concern the whole account."""
    return {
        "list queues": lambda clients: clients["sqs"].list_queues(),
        "create queue": lambda clients: clients["sqs"].create_queue(QueueName="forged"),
        "list topics": lambda clients: clients["sns"].list_topics(),
        "create user": lambda clients: clients["iam"].create_user(UserName=f"forged-{next(NUMBERS)}"),
    }


def allowed(service: str, process: str) -> set[str]:
    """What the policy of a process has to allow: written by hand from what the process does, not from the policy."""
    other = {"order": "notification", "notification": "order"}[service]
    topic, queue, check = f"{service}-events", f"{service}-{other}-events", f"{service}-events-publish-check"
    dead = [f"{queue}-dlq", f"{queue}-undelivered"]
    look = ("attributes", "url")
    if process == "Relay":
        return {
            *(f"{topic}: {each}" for each in ("publish", "topic attributes", "subscriptions")),
            *(f"{check}: {each}" for each in ("receive", "delete", *look)),
        }
    if process == "Redrive":
        emptied = {f"{each}: {action}" for each in dead for action in ("receive", "delete", *look)}
        return emptied | {f"{queue}: {each}" for each in ("send", *look)}
    consumed = {f"{each}: {what}" for each in (queue, *dead) for what in ("receive", "delete", "visibility", *look)}
    return consumed | {f"{other}-events: subscriptions"}


async def is_denied(call: Call, clients: Clients) -> bool:
    """Whether a call is denied; another error means that it was allowed."""
    try:
        await call(clients)
    except ClientError as error:
        return error.response["Error"]["Code"] in DENIED
    return False


async def test_each_role_may_do_what_its_process_does_and_nothing_else(emulated: Emulated) -> None:
    server = emulated.server
    calls = {f"account: {what}": call for what, call in account_calls().items()}
    for one, other in (("order", "notification"), ("notification", "order")):
        calls |= {f"{one}-events: {what}": call for what, call in topic_calls(f"{one}-events").items()}
        for queue in (f"{one}-{other}-events", f"{one}-{other}-events-dlq", f"{one}-{other}-events-undelivered",
                      f"{one}-events-publish-check"):  # fmt: skip
            calls |= {f"{queue}: {what}": call for what, call in queue_calls(server, queue).items()}
    wrong = []
    async with AsyncExitStack() as stack:
        for (service, process), policy in emulated.policies.items():
            caller = await role_with(server, f"{service}-{process}", policy)
            clients = {
                name: await stack.enter_async_context(server.client(name, caller)) for name in ("sns", "sqs", "iam")
            }
            found = {what for what, call in calls.items() if not await is_denied(call, clients)}
            wanted = allowed(service, process)
            wrong += [f"{service} {process} may not: {what}" for what in sorted(wanted - found)]
            wrong += [f"{service} {process} may: {what}" for what in sorted(found - wanted)]
            assert wanted <= calls.keys()
    assert not wrong


async def test_queues_and_topics_refuse_what_comes_without_tls(emulated: Emulated) -> None:
    server = emulated.server
    consumer = await role_with(server, "plain-consumer", emulated.policies["notification", "Service"])
    publisher = await role_with(server, "plain-publisher", emulated.policies["order", "Relay"])
    receive = queue_calls(server, "notification-order-events")["receive"]
    publish = topic_calls("order-events")["publish"]
    for scheme, denied in (("https", False), ("http", True)):
        async with (
            server.client("sqs", consumer, scheme=scheme) as sqs,
            server.client("sns", publisher, scheme=scheme) as sns,
        ):
            assert await is_denied(receive, {"sqs": sqs}) is denied
            assert await is_denied(publish, {"sns": sns}) is denied


async def test_a_caller_without_a_policy_cannot_send_to_any_queue(emulated: Emulated) -> None:
    """The queue policies name the topic alone: within the account, only an identity policy lets others send."""
    server = emulated.server
    stranger = await user_with(server, "stranger", [])
    for queue in ("notification-order-events", "order-notification-events", "order-events-publish-check"):
        for caller, denied in ((stranger, True), (ADMINISTRATOR, False)):
            async with server.client("sqs", caller) as sqs:
                assert await is_denied(queue_calls(server, queue)["send"], {"sqs": sqs}) is denied


@dataclass(frozen=True)
class Restricted(SystemEnvironment):
    """Each process has its own credentials."""

    callers: Mapping[str, Caller]

    def environment(self, database: TestDatabase, role: str, **more: str) -> dict[str, str]:
        caller = self.callers[role]
        keys = {"AWS_ACCESS_KEY_ID": caller.key, "AWS_SECRET_ACCESS_KEY": caller.secret}
        return super().environment(database, role, **keys, **more)


async def test_the_trio_works_with_the_least_privilege(
    emulated: Emulated, orders_database: TestDatabase, notifications_database: TestDatabase, tmp_path: Path
) -> None:
    server = emulated.server
    callers = {
        f"{service}_{name}": await user_with(server, f"{service}-{name}", [emulated.policies[service, process]])
        for service in ("order", "notification")
        for name, process in (("api", "Service"), ("relay", "Relay"))
    }
    async with server.plain_port() as address:
        ground = Restricted(
            orders_database, notifications_database, Aws(REGION, address), BrokerNames(PREFIX), tmp_path, callers
        )
        back = ground.environment(notifications_database, "notification_relay", TOPIC="notification-events")
        async with (
            trio(ground) as system,
            relay(ground) as order_relay,
            service_process("services.relay.main", back, tmp_path / "back") as notification_relay,
        ):
            for api in (system.order, system.notification, order_relay.api, notification_relay.api):
                await ready(api)
            order = await system.place()
            await system.act(order, "confirm")
            await system.wait_until_handled(order, 2)

            async def all_published() -> bool:
                for api in (system.order, system.notification):
                    answer = await api.get("/v1/recorded-events", params={"subject": order})
                    states = [event["state"] for event in answer.json()["items"]]
                    assert states == ["published"] * 2, answer.text
                return True

            await eventually(all_published, timeout=30.0)
    logs = "".join(path.read_text() for path in tmp_path.rglob("*.log"))
    assert "AccessDenied" not in logs
