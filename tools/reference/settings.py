"""The settings reference: every environment variable of services and tools."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from unittest import mock

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from event_trio.settings import ServiceSettings
from tools.declared_services import load as load_services
from tools.demo.ports import Port, Ports
from tools.reference.discovery import classes
from tools.reference.markdown import code, page, paragraph, table

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
SUBSTITUTION = re.compile(r"\$\{(\w+):-([^}]*)\}")
HEADINGS = ("Variable", "Default", "Takes", "Meaning")
INTRODUCTION = """
Every process reads its settings from environment variables when it starts. It ends with status 2, and a line for each
setting that is missing or invalid. An empty variable counts as unset. Files are not read, and unknown variables are
ignored: connections to Postgres use their URL only, not the `PG*` variables.
"""
# Settings that do not belong to a service; those of a service name their process by their module.
STARTED_ELSEWHERE = {
    "TopologySettings": "python -m infra.localstack.watch",
    "SlotCommandSettings": "python -m services.relay create-slot",
    "ContinuationSettings": "python -m services.order.continue_sequences",
}
COMMON = "every service and relay"
# Variables that are read without a settings class: by tools, tests and the AWS SDK.
OTHERS = (
    ("AWS_ACCESS_KEY_ID", "", "On AWS, the SDK finds credentials and its other settings as usual (`AWS_*` variables, "
     "profile, instance role). For LocalStack only this variable and `AWS_SECRET_ACCESS_KEY` are read; without both, "
     "the key `test` is used, which is never sent to AWS."),
    ("AWS_SECRET_ACCESS_KEY", "", "The secret of `AWS_ACCESS_KEY_ID`."),
    ("AWS_CA_BUNDLE", "", "Certificates that the AWS SDK trusts on AWS."),
    *((name, "", f"Proxy for {which}, except LocalStack, this machine and the hosts in `NO_PROXY`.") for name, which in
      (("HTTP_PROXY", "http:// addresses"), ("HTTPS_PROXY", "https:// addresses, including AWS"),
       ("ALL_PROXY", "all other addresses (not for AWS)"))),
    ("NO_PROXY", "", "Comma-separated hosts that are reached without a proxy."),
    ("FORWARDED_ALLOW_IPS", "127.0.0.1", "Every service, read by uvicorn: comma-separated addresses or networks of the "
     "proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. Without that of a load balancer, its "
     "users share the limit of the console for signing in."),
    ("SSL_CERT_FILE", "", "File of certificates to trust in TLS connections (key set, payloads, `event-trio`)."),
    ("SSL_CERT_DIR", "", "Folder of certificates to trust in the same connections."),
    ("EVENT_TRIO_RELAY_URL", "http://127.0.0.1:8002", "`./event-trio outbox`: URL of the relay, like `--url`."),
    ("EVENT_TRIO_CONSUMER_URL", "", "`./event-trio dead-letters` and `deferred`: URL of the service, or several, "
     "comma-separated, instead of all declared services, like `--url`."),
    ("EVENT_TRIO_SERVICES", "those of the project", "`./event-trio`: the services and relays as comma-separated "
     "`name=address`; a relay has the name of its publisher with the suffix `-relay`."),
    ("EVENT_TRIO_TIMEOUT_SECONDS", "1, remote 2", "`./event-trio`: timeout of a health request; longer on busy "
     "machines."),
    ("EVENT_TRIO_TOKEN", "", "`./event-trio`: an operator's token, like `--token`."),
    ("FAILPOINT", "", "With `ENVIRONMENT=local`: the point at which the process kills itself, for crash tests."),
    ("POSTGRES_BIN", "", "`make demo`, `make servers` and `make test`: folder of `initdb` and `postgres` of another "
     "installation."),
    ("TEST_DATABASE_URL", "", "`make test`: URL of the Postgres to use, as a superuser."),
    ("TEST_AWS_ENDPOINT_URL", "", "`make test`: URL of the LocalStack to use."),
    ("TEST_SOURCE", "", "With `wal`, relays of the tests and of `make faults` read the log (`make test-wal`)."),
    ("TEST_FORK", "", "`make test`: with `0`, each service and command of a test runs in a new interpreter."),
    ("TEST_REQUIRE_CONTAINERS", "", "`make test`: with `1`, tests fail without servers in containers instead of using "
     "embedded ones."),
    ("TEST_ALLOW_REMOTE", "", "`make test`: with `1`, TEST_DATABASE_URL and TEST_AWS_ENDPOINT_URL may name another "
     "machine. The tests create and delete databases and queues there."),
)  # fmt: skip


def render() -> str:
    """The page."""
    parts = [_section(f"Settings of {COMMON}", ServiceSettings, ServiceSettings.model_fields)]
    for settings in settings_classes():
        inherited = ServiceSettings.model_fields if issubclass(settings, ServiceSettings) else {}
        own = {
            name: field
            for name, field in settings.model_fields.items()
            if name not in inherited or _meaning(field) != _meaning(inherited[name])
        }
        parts.append(_section(code(started_by(settings)), settings, own, also=bool(inherited)))
    parts.append("## Variables of the tools\n\n" + _others())
    parts.append("## Variables of `docker-compose.yml`\n\n" + _compose())
    return page("Settings", INTRODUCTION, *parts)


def settings_classes() -> list[type[BaseSettings]]:
    """Every settings class that a process loads: those of the services first, by name."""
    found = classes(lambda found: issubclass(found, BaseSettings) and not found.__module__.startswith("event_trio."))
    return sorted(found, key=lambda settings: (settings.__name__ in STARTED_ELSEWHERE, started_by(settings)))


def started_by(settings: type[BaseSettings]) -> str:
    """The command of the process that loads the settings."""
    if settings.__name__ in STARTED_ELSEWHERE:
        return STARTED_ELSEWHERE[settings.__name__]
    service = settings.__module__.rpartition(".")[0]
    return f"python -m {service}.{'migrate' if settings.__name__.endswith('MigrationSettings') else 'main'}"


def variables() -> set[str]:
    """Every variable that services or tools read."""
    declared = {name.upper() for settings in settings_classes() for name in settings.model_fields}
    tools = {name for name, _, _ in OTHERS} | {port.variable for port in _ports()}
    return declared | tools | {name for name, _, _ in _substitutions()}


def _section(title: str, settings: type, shown: dict[str, FieldInfo], *, also: bool = False) -> str:
    note = f" In addition to the settings of {COMMON}:" if also else ""
    rows = [
        (code(name.upper()), _default(field), _takes(field), field.description or "") for name, field in shown.items()
    ]
    return f"## {title}\n\n{paragraph(settings.__doc__)}{note}\n\n{table(HEADINGS, rows)}"


def _others() -> str:
    ports = [
        (code(port.variable), code(str(port.number)), f"`make demo`: port of {port.purpose}.") for port in _ports()
    ]
    others = [(code(name), code(default), meaning) for name, default, meaning in OTHERS]
    return table(("Variable", "Default", "Meaning"), [*ports, *others])


def _compose() -> str:
    found: dict[tuple[str, str], list[str]] = {}
    for name, default, container in _substitutions():
        found.setdefault((name, default), []).append(container)
    rows = [
        (code(name), code(default), ", ".join(map(code, users))) for (name, default), users in sorted(found.items())
    ]
    return table(("Variable", "Default", "Containers"), rows)


def _substitutions() -> Iterator[tuple[str, str, str]]:
    """Every `${NAME:-default}` with the container that uses it."""
    containers = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    for container, description in containers.items():
        for name, default in sorted(set(SUBSTITUTION.findall(yaml.safe_dump(description)))):
            yield name, default, container


def _ports() -> list[Port]:
    with mock.patch.dict("os.environ", clear=True):
        return list(Ports.from_environment(load_services()).all)


def _meaning(field: FieldInfo) -> tuple[object, ...]:
    return field.default, field.description, str(field.metadata)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value: Any = field.default.value if isinstance(field.default, Enum) else field.default
    if value is None:
        return "unset"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return code(str(value)) if value != "" else "empty"


def _takes(field: FieldInfo) -> str:
    choices = _choices(field.annotation)
    if choices:
        return ", ".join(code(choice) for choice in choices)
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)]
    kind = {"int": "whole number", "float": "number", "Path": "path"}.get(getattr(kinds[0], "__name__", ""), "text")
    return " ".join([kind, *filter(None, map(_bound, field.metadata))])


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(choice.value) for choice in annotation]
    return []


def _bound(constraint: Any) -> str:
    match constraint:
        case Ge(ge=value):
            return f"from {value:g}"
        case Gt(gt=value):
            return f"above {value:g}"
        case Le(le=value):
            return f"up to {value:g}"
        case Lt(lt=value):
            return f"below {value:g}"
    pattern = getattr(constraint, "pattern", None)
    return f"that matches `{pattern}`" if pattern else ""
