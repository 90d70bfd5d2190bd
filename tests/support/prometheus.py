"""A Prometheus that scrapes services of a test."""

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.processes import ROOT
from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_port
from tools.embedded.process import ChildProcess, Command, base_environment

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed: apt-get install prometheus"
)
RULES = ROOT / "infra" / "prometheus" / "alerts.yaml"


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    api: httpx.AsyncClient

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression now."""
        answer = await self.api.get("/api/v1/query", params={"query": expression})
        assert answer.is_success, f"{expression}: {answer.text}"
        return list(answer.json()["data"]["result"])

    async def get(self, path: str, **parameters: str) -> Any:
        """The data of another route."""
        answer = await self.api.get(path, params=parameters)
        assert answer.is_success, answer.text
        return answer.json()["data"]


@asynccontextmanager
async def prometheus(folder: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """Scrape these addresses, by job, every second, with the alerting rules, until the end of the block."""
    folder.mkdir()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"{LOOPBACK}:{free_port()}"
    command = Command(
        name="prometheus",
        arguments=[
            "prometheus",
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--enable-feature=exemplar-storage",
        ],
        log=folder / "prometheus.log",
        environment=base_environment(),
        folder=folder,
    )
    process = ChildProcess(command)
    process.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=10.0) as api:

            async def is_ready() -> bool:
                try:
                    return (await api.get("/-/ready")).is_success
                except httpx.TransportError:
                    return False

            await eventually(is_ready, timeout=30)
            yield Prometheus(api)
    finally:
        await process.stop()
