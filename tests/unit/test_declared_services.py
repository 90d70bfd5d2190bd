"""The services that the demo starts are those of the project, at the same ports and databases as in the containers."""

import re
from pathlib import Path

import pytest

from tests.support.images import ROOT, compose
from tools.demo import declared
from tools.demo.errors import DemoError

CONTAINERS = compose()["services"]
DECLARED = declared.load()


def port(container: str) -> int:
    (mapping,) = CONTAINERS[container]["ports"]
    return int(mapping.rpartition(":")[2])


def test_every_service_is_declared() -> None:
    mains = {path.parent.name for path in ROOT.glob("services/*/main.py")} - {"relay"}
    assert {service.name for service in DECLARED} == mains


@pytest.mark.parametrize("service", DECLARED, ids=lambda service: service.name)
def test_a_service_runs_in_the_demo_as_in_its_container(service: declared.DeclaredService) -> None:
    assert port(service.name) == service.port
    assert re.search(rf"\b{service.database}\b", (ROOT / "infra/postgres/databases.sql").read_text())
    relay = CONTAINERS.get(f"{service.name}-relay")
    if service.publishes is None:
        assert relay is None
        return
    assert relay["environment"]["TOPIC"] == service.publishes
    assert port(f"{service.name}-relay") == service.relay_port


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port = 8004", "database: Field required"),
        ('port = "no"\ndatabase = "billing"', "port: Input should be a valid integer"),
        ('port = 8004\ndatabase = "billing"\npublishes = "billing-events"', "publishes and relay_port go together"),
        ('port = 8004\ndatabase = "billing; DROP"', "database: String should match pattern"),
        ('port = 8004\ndatabase = "billing"\nprot = 1', "prot: Extra inputs are not permitted"),
        ("port = ", "Invalid value"),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "billing").mkdir()
    (tmp_path / "billing" / declared.FILE).write_text(text)
    with pytest.raises(DemoError, match=rf"billing/service\.toml cannot be used: .*{complaint}"):
        declared.load(tmp_path)
