"""Processes in the environment of a user: unrelated proxies, profiles and files do not affect them."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from tests.support.databases import TestDatabase
from tests.support.processes import ROOT, service_process
from tests.support.topologies import deployed
from tests.support.waiting import eventually
from tools.embedded.process import base_environment

NOWHERE = "/nowhere/at/all"
PROXIES = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"), "socks5://127.0.0.1:9")
CERTIFICATES = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"), NOWHERE)
PROFILE = {
    "AWS_PROFILE": "work",
    "AWS_DEFAULT_PROFILE": "work",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_SESSION_TOKEN": "x",
}
POSTGRES = {
    "PGSSLMODE": "verify-full",
    "PGPASSWORD": "x",
    "PGHOST": "elsewhere",
    "PGSSLCERT": NOWHERE,
    "PGOPTIONS": "x",
}


@pytest.fixture
def hostile(tmp_path: Path) -> dict[str, str]:
    """The environment of a user of AWS, Postgres and a proxy, all of it unusable for the project."""
    home = tmp_path / "home"
    for folder, files in {
        ".aws": {
            "config": f"[default]\nca_bundle = {NOWHERE}\ncredential_process = /bin/false\n",
            "credentials": "invalid",
        },
        ".postgresql": {"root.crt": "invalid", "postgresql.crt": "invalid", "postgresql.key": "invalid"},
    }.items():
        (home / folder).mkdir(parents=True)
        for name, text in files.items():
            (home / folder / name).write_text(text)
    (home / ".netrc").write_text("default login x password y\n")
    (home / ".pgpass").write_text("*:*:*:*:wrong\n")
    return {"HOME": str(home), **PROXIES, **CERTIFICATES, **PROFILE, **POSTGRES}


def run(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**base_environment(), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_a_service_is_ready_in_any_environment(
    notifications_database: TestDatabase, topology: BrokerNames, aws: Aws, hostile: dict[str, str], tmp_path: Path
) -> None:
    settings = {
        "DATABASE_URL": notifications_database.url_for("notification_api"),
        "AWS_ENDPOINT_URL": str(aws.endpoint_url),
        "TOPOLOGY_PREFIX": topology.prefix,
        "QUEUE_WAIT_SECONDS": "1",
        "DRAIN_SECONDS": "5",
        "PAYLOAD_ORIGINS": "http://127.0.0.1:8000",
    }
    async with service_process("services.notification.main", hostile | settings, tmp_path, forked=False) as service:

        async def ready() -> bool:
            return (await service.api.get("/readyz")).is_success

        await eventually(ready, timeout=30.0)


async def test_the_topology_is_compared_in_any_environment(aws: Aws, hostile: dict[str, str]) -> None:
    async with deployed(aws) as names:
        environment = {"AWS_ENDPOINT_URL": str(aws.endpoint_url), **hostile}
        found = await asyncio.to_thread(run, "infra.check", "--prefix", names.prefix, **environment)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize(
    ("module", "environment", "message"),
    [
        ("services.relay.main", {"AWS_PROFILE": "work"}, "the AWS SDK cannot use its configuration: .*work"),
        (
            "services.order.main",
            {"PAYLOAD_ORIGINS": "https://h", "HTTPS_PROXY": "socks5://h:1"},
            "HTTPS_PROXY is not a usable proxy for ",
        ),
        ("infra.deploy", {"AWS_ACCESS_KEY_ID": "test", "AWS_ENDPOINT_URL": " "}, "AWS_ENDPOINT_URL is not set"),
    ],
)
def test_a_required_setting_that_is_unusable_is_reported_at_start(
    module: str, environment: dict[str, str], message: str
) -> None:
    common = {"DATABASE_URL": "postgresql://u@127.0.0.1/d", "TOPIC": "order-events", "HTTP_PORT": "0"}
    ended = run(module, **common, **environment)
    assert ended.returncode == (1 if module == "infra.deploy" else 2)
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert re.match(f"error: .*{message}", ended.stderr), ended.stderr
