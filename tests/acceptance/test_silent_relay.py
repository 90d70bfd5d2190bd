"""A suspended relay is detected by the order service, the command line and the alarms."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.alerts import alerts
from tests.support.command import event_trio_in_shell
from tests.support.processes import ServiceProcess, together
from tests.support.trio import SystemEnvironment, Trio, notification_service, order_service, ready, relay
from tests.support.waiting import eventually

LEASE = 2
ORDERS = 5


@contextmanager
def stopped(process: ServiceProcess) -> Iterator[None]:
    """Suspend the process, which still accepts connections and does not answer them."""
    reaper = str(process.process.reaper_pid)
    found = subprocess.run(["pgrep", "-P", reaper], capture_output=True, text=True, check=True)
    pid = int(found.stdout.split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_suspended_relay_is_reported_by_the_other_processes(ground: SystemEnvironment) -> None:
    async with together(
        order_service(ground),
        notification_service(ground),
        relay(ground, LEASE_SECONDS=str(LEASE), CALL_SECONDS="1"),
    ) as (order, notification, carrier):
        services = Trio(ground, order.api, notification.api)
        await ready(carrier.api)
        await services.wait_until_handled(await services.place(), 1)
        with stopped(carrier):
            orders = [await services.place() for _ in range(ORDERS)]

            async def degraded() -> bool:
                answer = await order.api.get("/readyz")
                found = answer.json()
                assert (answer.status_code, found["status"]) == (200, "degraded"), found
                said = found["checks"]["outbox"]["detail"]
                return bool(said.startswith("no relay is running for this outbox") and f"{ORDERS} events wait" in said)

            await eventually(degraded, timeout=30)
            page = (await order.api.get("/metrics")).text
            assert alerts()["NoRelay"].holds(page)
            assert f"outbox_unpublished_events {ORDERS}.0" in page
            urls = {"order": order, "notification": notification, "order-relay": carrier}
            declared = ",".join(f"{name}={found.api.base_url}" for name, found in urls.items())
            given = {"EVENT_TRIO_SERVICES": declared, "EVENT_TRIO_TIMEOUT_SECONDS": "3"}
            status, outbox = await asyncio.gather(
                event_trio_in_shell("status", "--json", **given),
                event_trio_in_shell("outbox", "status", **given),
            )
        assert status.status == 1
        details = {row["service"]: row["details"] for row in status.data["services"]}
        assert any("no relay is running for this outbox" in text for text in details["order"])
        for text in (*details["order-relay"], outbox.err):
            assert "the relay of order-events does not answer at " in text
            assert "(last heartbeat " in text
            assert "it is suspended, overloaded or gone" in text
            assert f"{ORDERS} unpublished events, the oldest " in text
        # The relay continues, and the order service is ready again.
        for order_id in orders:
            await services.wait_until_handled(order_id, 1)

        async def well() -> bool:
            found = (await order.api.get("/readyz")).json()["checks"]["outbox"]
            return bool(found["ok"])

        await eventually(well, timeout=30)
        assert not alerts()["NoRelay"].holds((await order.api.get("/metrics")).text)
