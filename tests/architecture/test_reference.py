"""The reference equals the code, and every setting, metric, log action, route and field that pages name exists."""

import ast
import re
from functools import cache

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from opentelemetry.sdk import environment_variables
from pydantic import SecretStr

from event_trio.envelope import Envelope
from event_trio.settings import ServiceSettings
from services.notification import main as notification
from services.notification.settings import NotificationSettings
from services.order import main as order
from services.order.settings import OrderSettings
from services.relay import main as relay
from services.relay.settings import RelaySettings
from tests.support.documents import Page, page, pages
from tests.support.sources import ROOT, nodes, parse, python_files
from tools.reference import actions, events, main, metrics, settings

MAKE_VARIABLES = set(re.findall(r"\$\(([A-Z_]+)\)", (ROOT / "Makefile").read_text(encoding="utf-8")))
VARIABLE = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=\S*)?|([A-Z][A-Z0-9]+)=\S*")
TABLE = re.compile(r"CREATE TABLE (\w+)")
URL = SecretStr("postgresql://nobody@127.0.0.1/nothing")

every_page = pytest.mark.parametrize("found", pages(), ids=lambda found: found.name)


def test_the_generated_pages_are_fresh() -> None:
    assert main.stale() == [], "run `make reference`"


def test_every_setting_is_documented_where_its_process_is() -> None:
    sections = re.split(r"^## ", page("docs/reference/settings.md").text, flags=re.MULTILINE)
    common = next(section for section in sections if section.startswith("Settings of every service"))
    for found in settings.settings_classes():
        own = next(section for section in sections if section.startswith(f"`{settings.started_by(found)}`"))
        shown = own + (common if issubclass(found, ServiceSettings) else "")
        assert [name for name in found.model_fields if f"| `{name.upper()}` |" not in shown] == []


def test_an_overridden_default_is_shown() -> None:
    section = page("docs/reference/settings.md").text.partition("## `python -m services.notification.main`")[2]
    assert "| `HTTP_PORT` | `8001` |" in section.partition("\n## ")[0]


def test_every_event_is_documented() -> None:
    headings = {text for level, text in page("docs/reference/events.md").headings if level == 3}
    assert headings == {f"`{event}`" for event in events.types()}


def test_the_wire_format_lists_exactly_the_attributes_of_the_envelope() -> None:
    body = page("docs/reference/wire-format.md").text.partition("## Beside the body")[0]
    rows = re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE)
    assert rows == list(Envelope.model_fields)


def test_the_example_of_the_wire_format_is_an_envelope() -> None:
    (example,) = (block.text for block in page("docs/reference/wire-format.md").blocks if block.language == "json")
    envelope = Envelope.parse(example)
    assert Envelope.parse(envelope.to_bytes()) == envelope
    assert re.sub(r"\s", "", example) == envelope.to_bytes().decode()


def test_log_lines_of_every_folder_are_listed() -> None:
    assert {line.module.partition("/")[0] for line in actions.lines()} == set(actions.FOLDERS)


def test_an_action_that_is_not_a_literal_is_an_error() -> None:
    call = ast.parse("log.info('x', action=made_up())").body[0]
    with pytest.raises(ValueError, match="made_up"):
        list(actions._lines("x.py", ast.Module([call], []), {}))


@every_page
def test_every_variable_is_read_by_the_code(found: Page) -> None:
    names = {"".join(match.groups("")) for span in found.spans if (match := VARIABLE.fullmatch(span))}
    assert names - _variables() - MAKE_VARIABLES == set()


@every_page
def test_every_log_action_is_written_by_the_code(found: Page) -> None:
    known = _actions()
    prefixes = {action.partition(".")[0] for action in known}
    named = {span for span in found.spans if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", span)}
    assert {name for name in named if name.partition(".")[0] in prefixes} - known - _files() == set()


@every_page
def test_every_metric_and_table_exists(found: Page) -> None:
    known = _metrics_and_tables()
    # Names of services and of HTTP attributes start like metrics, but are none.
    services = {path.relative_to(ROOT).parts[1] for path in python_files("services")}
    prefixes = {name.partition("_")[0] for name in known} - services - {"http"}
    named = {span for span in found.spans if re.fullmatch(r"[a-z]+(_[a-z]+)+", span)}
    assert {name for name in named if name.partition("_")[0] in prefixes} - known - _identifiers() == set()


@every_page
def test_every_route_exists(found: Page) -> None:
    called = [span for span in found.spans if re.fullmatch(r"(GET|POST) /\S+", span)]
    assert [span for span in called if re.sub(r"\{\w+\}", "{}", span) not in _routes()] == []


@cache
def _variables() -> frozenset[str]:
    of_the_sdk = {name for name in vars(environment_variables) if name.startswith("OTEL_")}
    return frozenset(settings.variables()) | of_the_sdk


@cache
def _actions() -> frozenset[str]:
    return frozenset(line.action for line in actions.lines()) | events.types()


@cache
def _metrics_and_tables() -> frozenset[str]:
    texts = (path.read_text(encoding="utf-8") for path in python_files("shared", "services"))
    return frozenset(table for text in texts for table in TABLE.findall(text)) | metrics.names()


@cache
def _routes() -> set[str]:
    apps = (
        order.build(OrderSettings(database_url=URL)),
        notification.build(NotificationSettings(database_url=URL)),
        relay.build(RelaySettings(database_url=URL, topic="order-events")),
    )
    return {route for app in apps for route in _of(app)}


def _of(app: FastAPI) -> set[str]:
    return {
        f"{method} {re.sub(r'{[^}]*}', '{}', route.path or '')}"
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
    }


@cache
def _identifiers() -> set[str]:
    """Names of columns, settings and similar, which look like metrics."""
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for path in python_files("shared", "services")
        for node in nodes(parse(path))
        if isinstance(node, ast.Attribute | ast.Name)
    }


def _files() -> set[str]:
    return {path.name for path in python_files()}
