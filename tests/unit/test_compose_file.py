"""The compose file: ports, dependencies, and the settings of the services."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from event_trio.database.url import parse
from event_trio.http.authorization import authenticator
from event_trio.settings import ProcessSettings, ServiceSettings
from infra.localstack.settings import TopologySettings
from services.console.settings import ConsoleSettings
from services.relay.settings import RelaySettings
from tests.support.images import ROOT, compose, images

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
THIRD_PARTY = {
    "postgres": "postgres:17",
    "localstack": "localstack/localstack:4.14.0",
    "mailpit": "axllent/mailpit:v1.27",
    "prometheus": "prom/prometheus:v3.7.3",
    "grafana": "grafana/grafana:12.3.0",
    "jaeger": "jaegertracing/jaeger:2.11.0",
}
DOMAINS = sorted(name.removesuffix("-migrate") for name in SERVICES if name.endswith("-migrate"))
RELAYS = [name for name in SERVICES if name.endswith("-relay")]


def settings_of(name: str) -> type[BaseSettings]:
    """The settings class of the process in a container."""
    if name == "topology" or name in RELAYS:
        return TopologySettings if name == "topology" else RelaySettings
    domain = name.removesuffix("-migrate")
    module = importlib.import_module(f"services.{domain}.settings")
    found: type[BaseSettings] = getattr(module, f"{domain.capitalize()}{'Migration' if name != domain else ''}Settings")
    return found


SETTINGS = {name: settings_of(name) for name in SERVICES if name not in THIRD_PARTY}
LONG_RUNNING = [name for name in SERVICES if not name.endswith("-migrate")]
ours = pytest.mark.parametrize("name", SETTINGS)


def environment(name: str) -> dict[str, str]:
    """The environment of a service without variables of the host, with that of its image."""
    values = {key: substituted(str(value)) for key, value in SERVICES[name].get("environment", {}).items()}
    return from_image(name) | values


def substituted(value: str) -> str:
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def from_image(name: str) -> dict[str, str]:
    (image,) = [image for image in images() if image.name == SERVICES[name]["image"]]
    words = [word for item in image.final if item.name == "ENV" for word in item.words]
    return dict(word.split("=", 1) for word in words)


def test_it_contains_every_process() -> None:
    mains = {path.parent.name for path in ROOT.glob("services/*/main.py")} - {"relay", "console"}
    assert set(DOMAINS) == mains <= set(SERVICES)
    assert "console" in SERVICES
    assert {f"{domain}-relay" for domain in ("order", "notification")} <= set(RELAYS)
    assert {name: SERVICES[name]["image"] for name in THIRD_PARTY} == THIRD_PARTY


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_on_the_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port)
    assert SERVICES[name].get("network_mode") != "host"


@pytest.mark.parametrize(
    ("name", "port"),
    [("order", 8000), ("notification", 8001), ("order-relay", 8002), ("notification-relay", 8003), ("console", 8010)],
)
def test_services_listen_on_their_published_ports(name: str, port: int) -> None:
    (mapping,) = SERVICES[name]["ports"]
    assert mapping.endswith(f":-{port}}}:{port}")
    assert environment(name)["HTTP_PORT"] == str(port)


@ours
def test_settings_are_known_and_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {key.lower(): value for key, value in SERVICES[name]["environment"].items()}
    assert set(given) <= set(SETTINGS[name].model_fields)
    settings = load(name, monkeypatch)
    if isinstance(settings, ProcessSettings):
        assert settings.environment == "local"
        assert not settings.listens_on_loopback
        authenticator(settings)  # requires tokens in production


def test_the_console_knows_every_service_and_relay() -> None:
    processes = ConsoleSettings(event_trio_services=environment("console")["EVENT_TRIO_SERVICES"]).processes
    ports = {name: str(environment(name)["HTTP_PORT"]) for name in (*DOMAINS, *RELAYS)}
    assert {process.name: process.url for process in processes} == {
        name: f"http://{name}:{port}" for name, port in ports.items()
    }


def test_roles_connect_with_the_passwords_that_the_migrations_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for domain in DOMAINS:
        migration = environment(f"{domain}-migrate")
        connecting = {domain: f"{domain}_api", f"{domain}-relay": f"{domain}_relay"}
        for service, role in connecting.items() & {(name, connecting.get(name, "")) for name in SERVICES}:
            password = migration[f"{role.upper()}_PASSWORD"]
            database = migration["MIGRATION_DATABASE_URL"].rsplit("/", 1)[-1]
            assert environment(service)["DATABASE_URL"] == f"postgresql://{role}@postgres:5432/{database}"
            assert environment(service)["DATABASE_PASSWORD"] == password
            assert password != migration["MIGRATION_DATABASE_PASSWORD"]


@ours
def test_no_password_is_inserted_into_a_url(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose inserts passwords without escaping, so every password must be valid where it is inserted."""
    given = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    assert [key for key, value in given.items() if "PASSWORD" in value and not key.endswith("PASSWORD")] == []
    special = {key: "p@ss/a#b?c%d:e&f" for key in given if key.endswith("PASSWORD")}
    settings = load(name, monkeypatch, **special)
    for field in {"database_url", "migration_database_url"} & set(type(settings).model_fields):
        assert parse(getattr(settings, field).get_secret_value()).password == "p@ss/a#b?c%d:e&f"


def test_each_relay_has_the_topic_of_its_database() -> None:
    for name in RELAYS:
        assert environment(name)["TOPIC"] == f"{name.removesuffix('-relay')}-events"


def test_every_database_is_created_in_a_new_data_folder() -> None:
    (script,) = [volume for volume in SERVICES["postgres"]["volumes"] if "/docker-entrypoint-initdb.d/" in volume]
    statements = (ROOT / script.split(":")[0]).read_text()
    assert re.findall(r"^CREATE DATABASE (\w+);", statements, re.MULTILINE)[:2] == ["orders", "notifications"]
    used = {environment(f"{domain}-migrate")["MIGRATION_DATABASE_URL"].rpartition("/")[2] for domain in DOMAINS}
    assert used == set(re.findall(r"^CREATE DATABASE (\w+);", statements, re.MULTILINE))


def test_data_is_in_a_named_volume() -> None:
    mounted = [volume.split(":")[0] for volume in SERVICES["postgres"]["volumes"]]
    assert set(compose()["volumes"]) <= set(mounted)


def test_the_start_order() -> None:
    def waits(name: str) -> Mapping[str, str]:
        return {other: how["condition"] for other, how in SERVICES[name].get("depends_on", {}).items()}

    done, healthy = "service_completed_successfully", "service_healthy"
    assert waits("topology") == {"localstack": healthy}
    assert waits("order-migrate") == waits("notification-migrate") == {"postgres": healthy}
    assert waits("order") == {"order-migrate": done}  # orders are accepted without the broker
    assert waits("order-relay") == {"order-migrate": done, "topology": healthy}
    assert waits("notification") == waits("notification-relay") == {"notification-migrate": done, "topology": healthy}


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_container_is_restarted_and_checked(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert "healthcheck" in SERVICES[name] or name in SETTINGS  # the images of the project contain a health check


@ours
def test_containers_of_the_project_have_minimal_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_resource_limits(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert 0 < service["cpus"] <= 2
    assert 0 < service["pids_limit"] < 1000


def test_viewers_are_started_on_request_only() -> None:
    profiles = {name: SERVICES[name]["profiles"] for name in SERVICES if "profiles" in SERVICES[name]}
    observability = {name: ["observability"] for name in ("prometheus", "grafana", "jaeger")}
    assert profiles == {"mailpit": ["mail"], **observability}
    notification = environment("notification")
    assert notification["SENDER"] == "log"
    assert (notification["SMTP_HOST"], notification["SMTP_PORT"]) == ("mailpit", "1025")


@pytest.mark.parametrize("name", RELAYS)
def test_relays_can_be_scaled(name: str) -> None:
    assert "container_name" not in SERVICES[name]
    (port,) = SERVICES[name]["ports"]
    variable = re.search(r"\$\{(\w+):-", port)
    assert variable
    assert variable[1] == f"{name.upper().replace('-', '_')}_PORT"  # with 0, each has its own port


@pytest.mark.parametrize("name", ["order", "order-relay", "notification", "notification-relay"])
def test_a_service_may_drain_before_it_is_killed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(name, monkeypatch)
    assert isinstance(settings, ServiceSettings)
    assert settings.drain_seconds < float(SERVICES[name]["stop_grace_period"].removesuffix("s"))


def load(name: str, monkeypatch: pytest.MonkeyPatch, **given: str) -> BaseSettings:
    """The settings that the service loads in its container."""
    for field in SETTINGS[name].model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for key, value in (environment(name) | given).items():
        if key.lower() in SETTINGS[name].model_fields:
            monkeypatch.setenv(key, value)
    return SETTINGS[name]()


def test_prometheus_reads_every_service_and_relay() -> None:
    config = yaml.safe_load((ROOT / "infra/prometheus/prometheus.yaml").read_text(encoding="utf-8"))
    read = {
        job["job_name"]: (job["dns_sd_configs"][0]["names"], job["dns_sd_configs"][0]["port"])
        for job in config["scrape_configs"]
    }
    names = [name for name in SETTINGS if name in LONG_RUNNING and "HTTP_PORT" in environment(name)]
    assert read == {name: ([name], int(environment(name)["HTTP_PORT"])) for name in names}
