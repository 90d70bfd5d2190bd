"""The whole system with its console in this process, for browsers: with tokens, mail, and services full of failures."""

import asyncio
import os
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from playwright.async_api import Browser, BrowserContext, Page
from prometheus_client.parser import text_string_to_metric_families

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from services.console.main import build
from services.console.settings import ConsoleSettings
from tests.support import browser as browsers
from tests.support.access import authenticated
from tests.support.databases import TestDatabase, execute
from tests.support.letters import letters
from tests.support.mail import MailServer, mail_server
from tests.support.operators import NO_BROKER, publish_all, relay_app
from tests.support.order_service import place
from tests.support.outbox import fill
from tests.support.processes import ServiceProcess, service_process
from tests.support.serving import serving
from tests.support.stack import Stack
from tests.support.tokens import Issuer
from tests.support.trio import ready
from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_port

LETTERS, GROUPS = 10_000, 1000
POLICIES = "order.placed: dead_letter; order.confirmed: dead_letter"
OTHER_RELAY = "018f0000-0000-7000-8000-000000000001"

# As many kinds of failures as message groups: the error has no digits, which a fingerprint leaves out.
MANY_FAILURES = f"""
UPDATE deferred_message SET message_group = 'group-' || id % {GROUPS}, type = 'order.placed',
    error = 'RuntimeError: ' || translate((id % {GROUPS})::text, '0123456789', 'abcdefghij')
"""
# Another relay, which is alive and does nothing, has all lanes: this one carries out no replay.
ASLEEP = (
    f"INSERT INTO outbox_relay (relay_id, heartbeat_at) VALUES ('{OTHER_RELAY}', now() + interval '1 day')",
    f"UPDATE outbox_lane SET owner = '{OTHER_RELAY}'",
)
HOLD = """
UPDATE outbox_event SET held_at = clock_timestamp(), held_reason = 'InvalidParameter: no', published_at = NULL,
    sent_at = NULL WHERE subject LIKE 'held-%'
"""


@dataclass
class ConsoleSystem:
    """A running system, the console's URL, and browsers of people."""

    stack: Stack
    url: str
    issuer: Issuer
    mails: MailServer
    browser: Browser
    folder: Path
    databases: tuple[str, ...]
    """The names of the databases of all services."""

    @property
    def operator(self) -> dict[str, str]:
        """The headers of an operator's call of a service."""
        return dict(self.issuer.bearer("olga", "operator"))

    async def place(self) -> str:
        """Place an order over REST; returns its id."""
        async with httpx.AsyncClient(base_url=self.stack.urls["order"]) as api:
            return str((await place(api, self.operator))["id"])

    async def act(self, name: str, path: str, **body: Any) -> Any:
        """Change something at a service over REST."""
        async with httpx.AsyncClient(base_url=self.stack.urls[name], headers=self.operator) as api:
            answer = await api.post(path, json=body or None)
            assert answer.is_success, answer.text
            return answer.json()

    async def get(self, name: str, path: str, **query: Any) -> Any:
        """Read a route of a service."""
        async with httpx.AsyncClient(base_url=self.stack.urls[name], headers=self.operator) as api:
            answer = await api.get(path, params=query)
            assert answer.is_success, answer.text
            return answer.json()

    async def settled(self, order: str) -> None:
        """Wait until the order was notified, and all its events are published."""

        async def is_settled() -> bool:
            found = [
                event
                for name in ("order", "notification")
                for event in (await self.get(name, "/v1/recorded-events", subject=order))["items"]
            ]
            handled = (await self.get("notification", "/v1/processed-messages", subject=order))["items"]
            return bool(handled) and all(event["state"] == "published" for event in found)

        await eventually(is_settled, timeout=30)

    @asynccontextmanager
    async def relay_process(self) -> AsyncIterator[ServiceProcess]:
        """A second relay of the order events, as a process."""
        environment = {
            **{"ENVIRONMENT": "local", "DATABASE_URL": self.stack.orders.url_for("order_relay")},
            **{"AWS_ENDPOINT_URL": self.stack.aws.endpoint_url or "", "TOPOLOGY_PREFIX": self.stack.names.prefix},
            **{"TOPIC": "order-events", "LEASE_SECONDS": "3", "CALL_SECONDS": "2", "DRAIN_SECONDS": "8"},
            "PUBLISH_CHECK_WAIT_SECONDS": "1",
        }
        async with service_process("services.relay.main", environment, self.folder) as process:
            yield process

    async def calls(self) -> dict[str, float]:
        """How many calls the console has made of each process."""
        async with httpx.AsyncClient(base_url=self.url) as api:
            page = (await api.get("/metrics")).text
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples if family.name == "console_api_calls" else ():
                if sample.name.endswith("_total"):
                    found[sample.labels["process"]] = found.get(sample.labels["process"], 0) + sample.value
        return found

    @asynccontextmanager
    async def person(self, *roles: str, **given: Any) -> AsyncIterator[BrowserContext]:
        """The browser of somebody with these roles, who has signed in."""
        async with browsers.context(self.browser, self.url, **given) as made:
            if roles:
                token = self.issuer.token("olga" if "operator" in roles else "rita", *roles)
                answer = await made.request.post(
                    "/sign-in", form={"token": token, "next": "/"}, headers={"Origin": self.url}, max_redirects=0
                )
                assert answer.status == 303, answer.status
            yield made

    @asynccontextmanager
    async def page(self, path: str, *roles: str, **given: Any) -> AsyncIterator[Page]:
        """A page in the browser of an operator, or of somebody with these roles."""
        async with self.person(*(roles or ("operator",)), **given) as made:
            opened = await made.new_page()
            await opened.goto(path)
            yield opened


def kill(process: ServiceProcess) -> None:
    """End a process without a chance to say so."""
    found = subprocess.run(["pgrep", "-P", str(process.process.reaper_pid)], capture_output=True, text=True, check=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)


@asynccontextmanager
async def console_system(
    orders: TestDatabase,
    notifications: TestDatabase,
    aws: Aws,
    names: BrokerNames,
    folder: Path,
    *,
    crowded: tuple[TestDatabase, TestDatabase] | None = None,
) -> AsyncIterator[ConsoleSystem]:
    """Start everything. `crowded` are two more databases: of a notification service, and one with only an outbox.

    They get a service, `archive`, with thousands of dead letters, and a relay, `billing-relay`, with held groups.
    """
    issuer, auth = authenticated(folder)
    auth["http_host"] = LOOPBACK
    found = Stack(orders, notifications, aws, names)
    async with AsyncExitStack() as stack:
        mails = stack.enter_context(mail_server())
        mailing = {"sender": "smtp", "smtp_host": LOOPBACK, "smtp_port": mails.port, "smtp_from": "shop@example.com"}
        mailing |= {"smtp_security": "none", "failure_policies": POLICIES}
        applications = {
            "order": found.order(**auth),
            "notification": found.notification(**mailing, **auth),
            "order-relay": found.relay("order", **auth),
            "notification-relay": found.relay("notification", **auth),
        }
        if crowded is not None:
            await _crowd(*crowded)
            archive = Stack(orders, crowded[0], NO_BROKER, BrokerNames(f"none-{secrets.token_hex(4)}-"))
            applications |= {"archive": archive.notification(**auth), "billing-relay": relay_app(crowded[1], **auth)}
        stack.push_async_callback(found.stop)
        for name, app in applications.items():
            await found.start(name, app)
        for name in ("order", "notification", "order-relay", "notification-relay"):
            async with httpx.AsyncClient(base_url=found.urls[name]) as api:
                await ready(api)
        port = free_port()
        url = f"http://{LOOPBACK}:{port}"
        settings = ConsoleSettings(
            event_trio_services=found.declared,
            public_url=url,
            refresh_seconds=2,
            rate_limit_per_minute=0,
            starting_seconds=0,
            **auth,
        )
        await stack.enter_async_context(serving(build(settings), port=port))
        browser = await stack.enter_async_context(browsers.browser())
        names_of = (orders, notifications, *(crowded or ()))
        databases = tuple(urlsplit(each.url).path.strip("/") for each in names_of)
        yield ConsoleSystem(found, url, issuer, mails, browser, folder, databases)


async def _crowd(crowded: TestDatabase, outbox: TestDatabase) -> None:
    await asyncio.gather(
        execute(crowded.url, *letters("notification", LETTERS), MANY_FAILURES, "ANALYZE deferred_message"),
        _fill_outbox(outbox),
    )


async def _fill_outbox(outbox: TestDatabase) -> None:
    await execute(outbox.url, *ASLEEP)
    await fill(outbox.url, 50, each=2, prefix="published")
    await fill(outbox.url, GROUPS, each=2, prefix="held")
    await publish_all(outbox)
    await execute(outbox.url, HOLD)
