"""Two live services and events without payload, which the subscriber reads from their publisher."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.support.mail import mail_server
from tests.support.order_service import place
from tests.support.processes import service_process
from tests.support.trio import SystemEnvironment, Trio, relay
from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_port


@asynccontextmanager
async def order_service(ground: SystemEnvironment, port: int, zero_payload: str) -> AsyncIterator[httpx.AsyncClient]:
    """The order service at a known address, which accepts orders and serves their payloads."""
    given = {"ZERO_PAYLOAD_EVENTS": zero_payload, "PUBLIC_URL": f"http://{LOOPBACK}:{port}", "CONSUMING": "false"}
    environment = ground.environment(ground.orders, "order_api", **given)
    async with service_process("services.order.main", environment, ground.folder, port=port) as process:
        yield process.api


async def test_a_zero_payload_event_gives_the_same_notification_even_after_an_outage_of_its_publisher(
    ground: SystemEnvironment,
) -> None:
    port = free_port()
    with mail_server() as server:
        mailing = {"SENDER": "smtp", "SMTP_HOST": LOOPBACK, "SMTP_PORT": str(server.port), "SMTP_SECURITY": "none"}
        environment = ground.environment(
            ground.notifications,
            "notification_api",
            SMTP_FROM="shop@example.com",
            QUEUE_WAIT_SECONDS="1",
            PAYLOAD_ORIGINS=f"http://{LOOPBACK}:{port}",
            **mailing,
        )
        notification = service_process("services.notification.main", environment, ground.folder / "notification")
        async with notification as running:
            async with order_service(ground, port, "order.placed") as order:
                away = str((await place(order, None))["id"])
            # The publisher is away when its event arrives: nothing in the event tells whom to notify of what.
            async with relay(ground):
                log = ground.folder / "notification" / "services.notification.main.log"

                async def is_put_off() -> bool:
                    return "the publisher does not answer" in log.read_text()

                await eventually(is_put_off, timeout=30)
                assert server.mails == []
                # Back again, and stating from now on what happened in the event itself.
                async with order_service(ground, port, "") as order:
                    services = Trio(ground, order, running.api)
                    [first] = await services.wait_until_handled(away, 1)
                    full = await services.place()
                    await services.wait_until_handled(full, 1)
            assert (await running.api.get("/v1/dead-letters")).json()["items"] == []
    assert first["outcome"] == "handled"
    orders = (away, full)
    texts = [mail.get_content().replace(order_id, "?") for mail, order_id in zip(server.mails, orders, strict=True)]
    subjects = [
        str(mail["Subject"]).replace(order_id, "?") for mail, order_id in zip(server.mails, orders, strict=True)
    ]
    assert texts[0] == texts[1]
    assert subjects[0] == subjects[1]
    assert "?" in texts[0] + subjects[0]
