"""The order service as a process: startup, readiness, and its database."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from services.order.migrate import migrate
from tests.support.databases import TestDatabase, database, execute
from tests.support.order_service import ORDER, order_service
from tests.support.processes import ROOT, service_process
from tests.support.servers import PostgresServer
from tools.embedded.ports import free_port
from tools.embedded.process import base_environment


@pytest.mark.parametrize(
    ("module", "environment", "said"),
    [
        ("main", {}, "DATABASE_URL is not set."),
        ("main", {"DATABASE_URL": "mysql://x"}, "DATABASE_URL is wrong: "),
        ("main", {"DATABASE_URL": "postgresql://u@x/d", "HTTP_PORT": "high"}, "HTTP_PORT is wrong: "),
        ("main", {"DATABASE_URL": "postgresql://u@x/d", "HTTP_HOST": "0.0.0.0"}, "AUTH_JWKS is not set"),
        ("migrate", {}, "MIGRATION_DATABASE_URL is not set."),
    ],
)
def test_a_missing_setting_is_named(module: str, environment: dict[str, str], said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", f"services.order.{module}"],
        env={**base_environment(), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {said}")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("forked", [False, True], ids=["new-interpreter", "fork"])
async def test_the_process_serves_and_stops(forked: bool, orders_database: TestDatabase, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": orders_database.url_for("order_api"), "LOG_FORMAT": "json", "CONSUMING": "false"}
    async with service_process("services.order.main", environment, tmp_path, forked=forked) as service:
        ready = await service.api.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert (await service.api.post("/v1/orders", json=ORDER)).status_code == 201
        metrics = (await service.api.get("/metrics")).text
        assert 'order_events_recorded_total{type="order.placed"} 1.0' in metrics
        assert (await service.api.get("/docs")).status_code == 200
    log = service.process.command.log.read_text()
    assert '"action": "auth.disabled"' in log
    assert '"action": "order.placed"' in log
    assert '"action": "service.stopped"' in log
    assert ORDER["recipient"] not in log
    assert "Context impl" not in log, "each look at the readiness page leaves a line"
    actions = [json.loads(line)["action"] for line in log.splitlines()]
    assert all(actions)
    # It ended by itself, and not after the grace period of its reaper.
    assert await service.process.stop() == 0


async def checks(api: httpx.AsyncClient) -> tuple[int, dict[str, str | None]]:
    answer = await api.get("/readyz")
    return answer.status_code, {name: found["detail"] for name, found in answer.json()["checks"].items()}


async def test_missing_migrations_are_reported_as_not_ready(postgres: PostgresServer) -> None:
    async with database(postgres.admin_url, purpose="behind") as empty:
        await migrate(empty.url)
        async with order_service(empty) as api:
            assert (await checks(api))[0] == 200
            await execute(empty.url, "DELETE FROM alembic_version")
            status, details = await checks(api)
            assert status == 503
            assert "at migration none, the code needs 00" in (details["migrations"] or "")


async def test_without_a_database_it_is_alive_but_not_ready() -> None:
    nowhere = TestDatabase("nowhere", f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere")
    async with order_service(nowhere) as api:
        assert (await api.get("/livez")).status_code == 200
        status, details = await checks(api)
        assert status == 503
        assert "cannot be reached" in (details["database"] or "")
        refused = await api.post("/v1/orders", json=ORDER)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
