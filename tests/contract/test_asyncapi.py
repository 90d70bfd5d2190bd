"""AsyncAPI documents and JSON Schemas are valid by the official schemas, complete, and served by the services."""

import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from event_trio.contracts.orders import OrderPlaced
from event_trio.envelope import Envelope
from services.notification import main as notification
from services.notification.settings import NotificationSettings
from services.order import main as order
from services.order.settings import OrderSettings
from tests.support.asyncapi_documents import NAMES, document, message_problems, problems, references, target, validator
from tests.support.sources import ROOT

SCHEMAS = sorted((ROOT / "docs/reference/schemas").glob("*/*.json"))
URL = SecretStr("postgresql://nobody@127.0.0.1/nothing")

each = pytest.mark.parametrize("name", NAMES)


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@each
def test_a_document_is_valid_by_the_official_schema(name: str) -> None:
    assert problems(document(name)) == []


@each
def test_every_reference_has_a_target(name: str) -> None:
    found = document(name)
    for reference in references(found):
        target(found, reference)


def _wrong_ordering(found: dict[str, Any]) -> None:
    found["channels"]["order-events"]["bindings"]["sns"]["ordering"]["type"] = "sorted"


def _no_raw_delivery(found: dict[str, Any]) -> None:
    del found["operations"]["send-order-events"]["bindings"]["sns"]["consumers"][0]["rawMessageDelivery"]


def _unknown_scope(found: dict[str, Any]) -> None:
    found["channels"]["order-events-publish-check"]["bindings"]["sqs"]["queue"]["deduplicationScope"] = "topic"


def _no_action(found: dict[str, Any]) -> None:
    del found["operations"]["send-order-events"]["action"]


@pytest.mark.parametrize("change", [_wrong_ordering, _no_raw_delivery, _unknown_scope, _no_action])
def test_the_official_schema_rejects_invalid_bindings(change: Callable[[dict[str, Any]], None]) -> None:
    found = copy.deepcopy(document("order"))
    change(found)
    assert problems(found) != []


@each
def test_the_examples_are_valid_messages(name: str) -> None:
    found = document(name)
    for message, described in found["components"]["messages"].items():
        (example,) = described["examples"]
        assert list(validator(found, message).iter_errors(example["payload"])) == []
        assert Envelope.parse(json.dumps(example["payload"])).type == described["name"]
        jsonschema.Draft7Validator(described["headers"]).validate(example["headers"])


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "order.plaecd"},
        {"source": "/services/notification"},
        {"dataschema": "https://schemas.example.com/order.placed/2"},
        {"sequence": "1"},
        {"data": {"order_id": "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"}},
        {"data": None},
    ],
)
def test_other_messages_are_not_valid(changed: dict[str, Any]) -> None:
    found = document("order")
    (example,) = found["components"]["messages"]["order.placed.1"]["examples"]
    body = {key: value for key, value in {**example["payload"], **changed}.items() if value is not None}
    assert message_problems(found, json.dumps(body), "order-events") != []


def test_a_message_may_refer_to_its_payload() -> None:
    found = document("order")
    (example,) = found["components"]["messages"]["order.placed.1"]["examples"]
    body = {**example["payload"], "dataref": "https://orders.example.com/v1/orders/1/events/1"}
    del body["data"]
    assert message_problems(found, json.dumps(body), "order-events") == []


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_schema_is_valid_and_accepts_its_example(path: Any) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["examples"]
    for example in schema["examples"]:
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(example)
    assert schema["$id"].endswith(f"/{path.parent.name}/{path.stem}")


async def test_a_service_serves_its_document_beside_its_openapi_document() -> None:
    async with client(order.build(OrderSettings(database_url=URL))) as api:
        assert (await api.get("/asyncapi.json")).json() == document("order")
        assert (await api.get("/openapi.json")).status_code == 200
    async with client(notification.build(NotificationSettings(database_url=URL))) as api:
        assert (await api.get("/asyncapi.json")).json() == document("notification")


async def test_the_served_document_has_the_names_and_policies_that_are_in_force() -> None:
    settings = NotificationSettings(
        database_url=URL, topology_prefix="test-", failure_policies="order.shipped: dead_letter(rest=wait)"
    )
    async with client(notification.build(settings)) as api:
        found = (await api.get("/asyncapi.json")).json()
    assert problems(found) == []
    assert {channel["address"] for channel in found["channels"].values()} == {
        f"test-{channel['address']}" for channel in document("notification")["channels"].values()
    }
    receive = found["operations"]["receive-order-events"]
    assert [queue["name"] for queue in receive["bindings"]["sqs"]["queues"]] == [
        "test-notification-order-events.fifo",
        "test-notification-order-events-dlq.fifo",
        "test-notification-order-events-undelivered.fifo",
    ]
    (consumer,) = receive["bindings"]["sns"]["consumers"]
    assert consumer["endpoint"] == {"name": "test-notification-order-events.fifo"}
    assert consumer["redrivePolicy"]["deadLetterQueue"] == {"name": "test-notification-order-events-undelivered.fifo"}
    assert receive["x-handling"]["order.shipped.1"]["failure_policy"] == "dead_letter(rest=wait)"
    assert receive["x-handling"]["order.placed.1"]["failure_policy"].startswith("retry(attempts=8")


async def test_schemas_are_served_where_dataschema_points() -> None:
    settings = OrderSettings(database_url=URL, public_url="http://test")
    async with client(order.build(settings)) as api:
        answer = await api.get(f"{settings.schemas_url}/{OrderPlaced.type}/{OrderPlaced.version}")
        assert answer.headers["content-type"] == "application/schema+json"
        committed = json.loads((ROOT / "docs/reference/schemas/order.placed/1.json").read_text(encoding="utf-8"))
        assert answer.json() == {**committed, "$id": "http://test/schemas/order.placed/1"}


@pytest.mark.parametrize("path", ["order.placed/2", "order.paid/1", "notification.sent/1"])
async def test_other_schemas_are_not_found(path: str) -> None:
    async with client(order.build(OrderSettings(database_url=URL))) as api:
        answer = await api.get(f"/schemas/{path}")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem-type:not-found")
