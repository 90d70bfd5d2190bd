"""The containers of the compose file, started with Docker."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_port

ROOT = Path(__file__).parents[2]
PORTS = ("ORDER_PORT", "NOTIFICATION_PORT", "ORDER_RELAY_PORT", "NOTIFICATION_RELAY_PORT", "CONSOLE_PORT")
UP_SECONDS = 600  # images are built, on a machine that may be busy
RECOVERY_SECONDS = 180.0

pytestmark = pytest.mark.timeout(UP_SECONDS + 300)


@dataclass(frozen=True)
class Containers:
    """A compose project for the tests."""

    project: str
    environment: dict[str, str]

    def compose(self, *arguments: str, timeout: float = 120) -> str:
        """Run docker compose; a failure shows its output and the logs of the services."""
        done = self._run(*arguments, timeout=timeout)
        if done.returncode != 0:
            said = self._run("logs", "--no-color", "--tail", "30", timeout=60).stdout
            pytest.fail(f"docker compose {' '.join(arguments)}: {done.stderr[-3000:]}\n{said[-8000:]}", pytrace=False)
        return done.stdout

    def url(self, port: str) -> str:
        return f"http://{LOOPBACK}:{self.environment[port]}"

    def _run(self, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "compose", "--project-name", self.project, *arguments],
            cwd=ROOT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )


def why_not() -> str | None:
    """Why containers cannot be run here; None if they can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    for command, complaint in (
        (["docker", "compose", "version"], "docker has no compose plugin"),
        (["docker", "info"], "no Docker daemon answers"),
    ):
        if subprocess.run(command, capture_output=True, timeout=60).returncode != 0:
            return complaint
    return None


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """The whole system, healthy; removed afterwards with its data."""
    if missing := why_not():
        pytest.skip(f"the compose file is not brought up: {missing} (its parsed file is tested all the same)")
    project = f"event-trio-test-{secrets.token_hex(3)}"
    Containers(project, {}).compose("build", timeout=UP_SECONDS)
    # Chosen after the minutes of the build, in which others may take a free port.
    found = Containers(project, {port: str(free_port()) for port in PORTS})
    try:
        found.compose("up", "--detach", "--wait", timeout=UP_SECONDS)
        yield found
    finally:
        found.compose("down", "--volumes", "--timeout", "15")


@pytest.mark.parametrize("port", PORTS)
def test_every_service_is_ready(containers: Containers, port: str) -> None:
    answer = httpx.get(f"{containers.url(port)}/readyz", trust_env=False)
    assert answer.status_code == 200, answer.text


async def test_an_order_is_notified(containers: Containers) -> None:
    await notified(containers, place(containers), within=60)


async def test_orders_are_notified_after_a_restart_of_localstack(containers: Containers) -> None:
    containers.compose("restart", "--timeout", "5", "localstack")
    await notified(containers, place(containers), within=RECOVERY_SECONDS)


@pytest.mark.parametrize(
    "service", ["postgres", "order", "order-relay", "notification", "notification-relay", "topology"]
)
async def test_orders_are_notified_after_a_container_was_killed(containers: Containers, service: str) -> None:
    before = place(containers)
    containers.compose("kill", service)
    containers.compose("up", "--detach", "--wait", timeout=RECOVERY_SECONDS)
    await notified(containers, before, within=RECOVERY_SECONDS)
    await notified(containers, place(containers), within=RECOVERY_SECONDS)


async def test_scaled_relays_share_the_work(containers: Containers) -> None:
    """With port 0, each relay has its own port."""
    many = Containers(containers.project, containers.environment | {"ORDER_RELAY_PORT": "0"})
    many.compose("up", "--detach", "--wait", "--scale", "order-relay=2", "order-relay", timeout=RECOVERY_SECONDS)
    addresses = [many.compose("port", "--index", str(index), "order-relay", "8002").strip() for index in (1, 2)]
    assert len(set(addresses)) == 2

    async def shared() -> bool:
        owned = [lanes_owned(address) for address in addresses]
        assert min(owned) > 0, owned
        assert sum(owned) == 64, owned
        return True

    await eventually(shared, timeout=RECOVERY_SECONDS)
    await notified(containers, place(containers), within=60)


@pytest.mark.parametrize(
    ("service", "held"),
    [
        ("order", {"services", "services/order"}),
        ("notification", {"services", "services/notification"}),
        ("order-relay", {"services", "services/relay"}),
        ("console", {"services", "services/console"}),
        ("topology", {"infra"}),
    ],
)
def test_an_image_contains_only_its_service_and_runs_unprivileged(
    containers: Containers, service: str, held: set[str]
) -> None:
    found = containers.compose("exec", "-T", service, "sh", "-c", "id -u; ls -d * services/*/ 2>/dev/null || true")
    user, *folders = found.split()
    assert int(user) > 0
    assert {folder.rstrip("/") for folder in folders} - {"services/__pycache__"} == held


def lanes_owned(address: str) -> int:
    """The number of lanes of a relay, from its metrics."""
    text = httpx.get(f"http://{address}/metrics", trust_env=False).text
    (value,) = [line.split()[1] for line in text.splitlines() if line.startswith("outbox_relay_lanes_owned ")]
    return int(float(value))


def place(containers: Containers) -> str:
    """Place an order; returns its id."""
    answer = httpx.post(
        f"{containers.url('ORDER_PORT')}/v1/orders",
        json={
            "customer_id": "customer-1",
            "recipient": "kim@example.org",
            "locale": "ko",
            "currency": "EUR",
            "lines": [{"sku": "TEA-1", "quantity": 2, "unit_price": "4.50"}],
        },
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def notified(containers: Containers, order_id: str, *, within: float) -> None:
    """Wait for the notification of an order, which must be the only one."""
    async with httpx.AsyncClient(base_url=containers.url("NOTIFICATION_PORT"), trust_env=False) as client:

        async def there() -> bool:
            answer = await client.get("/v1/notifications", params={"order_id": order_id})
            return answer.is_success and len(answer.json()["items"]) == 1

        await eventually(there, timeout=within)
