"""The declared services are those of the project, with the ports and databases of the containers."""

import re
from pathlib import Path

import pytest

from event_trio.errors import ConfigurationError
from tests.support.images import ROOT, compose
from tools import declared_services

CONTAINERS = compose()["services"]
DECLARED = declared_services.load()


def port(container: str) -> int:
    (mapping,) = CONTAINERS[container]["ports"]
    return int(mapping.rpartition(":")[2])


def test_every_service_is_declared() -> None:
    mains = {path.parent.name for path in ROOT.glob("services/*/main.py")} - {"relay", "console"}
    assert {service.name for service in DECLARED} == mains


@pytest.mark.parametrize("service", DECLARED, ids=lambda service: service.name)
def test_a_service_runs_in_the_demo_as_in_its_container(service: declared_services.DeclaredService) -> None:
    assert port(service.name) == service.port
    assert re.search(rf"\b{service.database}\b", (ROOT / "infra/postgres/databases.sql").read_text())
    relay = CONTAINERS.get(f"{service.name}-relay")
    if service.publishes is None:
        assert relay is None
        return
    assert relay["environment"]["TOPIC"] == service.publishes
    assert port(f"{service.name}-relay") == service.relay_port


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = 8004", "database must be a name"),
        ('port = "no"\ndatabase = "billing"', "port must be a port number"),
        ('port = true\ndatabase = "billing"', "port must be a port number"),
        ('database = "billing"', "port must be a port number"),
        (
            'port = 8004\ndatabase = "billing"\npublishes = "billing-events"',
            "publishes and relay_port must be given together",
        ),
        ('port = 8004\ndatabase = "billing"\nrelay_port = 8005', "publishes and relay_port must be given together"),
        ('port = 8004\ndatabase = "billing"\npublishes = 1\nrelay_port = 8005', "publishes must be the domain"),
        ('port = 8004\ndatabase = "billing; DROP"', "database must be a name"),
        ('port = 8004\ndatabase = "billing"\nprot = 1', "prot is unknown; known names: database, environment"),
        ('port = 8004\ndatabase = "billing"\nname = "other"', "name is unknown"),
        ('port = 8004\ndatabase = "billing"\n[environment]\nPUBLIC_URL = 1', "environment must be a table of strings"),
        ("port = ", "Invalid value"),
    ],
)
def test_an_invalid_declaration_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "billing").mkdir()
    (tmp_path / "billing" / declared_services.FILE).write_text(text)
    with pytest.raises(ConfigurationError, match=rf"billing/service\.toml is invalid: .*{message}"):
        declared_services.load(tmp_path)
