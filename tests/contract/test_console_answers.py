"""What the console requires of answers is what the services and the relay promise in their API documents."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from services.console.api_clients.answer_shapes import SHAPES, answer_error

DOCUMENTS = Path(__file__).parents[2] / "docs" / "reference" / "openapi"
NAMES = ("order", "notification", "relay")
READINESS = "/readyz"
"""Its body is documented without a schema: the tests of pages read it of real services."""

Node = Mapping[str, Any]


def answers() -> Iterator[tuple[str, str, Node, Node]]:
    """The method, path and schema of every successful answer with a JSON object, and its document."""
    for name in NAMES:
        document = json.loads((DOCUMENTS / f"{name}.json").read_text(encoding="utf-8"))
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for status, response in operation["responses"].items():
                    schema = response.get("content", {}).get("application/json", {}).get("schema")
                    if status.startswith("2") and schema:
                        yield method.upper(), path, schema, document


def unmet(wanted: Node, given: Node, shapes: Node, document: Node, at: str = "") -> Iterator[str]:
    """Where an answer that the document allows would not have the shape."""
    wanted, given = _resolved(wanted, shapes), _resolved(given, document)
    choices, needed = given.get("anyOf", [given]), wanted.get("anyOf", [wanted])
    accepted = {kind: each for each in (_resolved(each, shapes) for each in needed) if (kind := each.get("type"))}
    for choice in (_resolved(each, document) for each in choices):
        kind = choice.get("type")
        if not accepted or kind is None:
            continue
        found = accepted.get(kind) or (accepted.get("number") if kind == "integer" else None)
        if found is None:
            yield f"{at}: may be {kind}"
        elif kind == "array":
            yield from unmet(found.get("items", {}), choice.get("items", {}), shapes, document, f"{at}[]")
        elif kind == "object":
            for name in found.get("required", ()):
                if name not in choice.get("required", ()):
                    yield f"{at}.{name}: may be missing"
            for name, each in found.get("properties", {}).items():
                if name in choice.get("properties", {}):
                    yield from unmet(each, choice["properties"][name], shapes, document, f"{at}.{name}")


def _resolved(node: Node, document: Node) -> Node:
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


@pytest.mark.parametrize(("method", "pattern", "shape"), [pytest.param(*each, id=each[1].pattern) for each in SHAPES])
def test_every_promised_answer_is_accepted(method: str, pattern: Any, shape: type[BaseModel]) -> None:
    wanted = shape.model_json_schema()
    compared, problems = 0, []
    for asked, path, schema, document in answers():
        if asked == method and pattern.fullmatch(path.replace("{id}", "1")):
            compared += 1
            problems += [f"{path}{each}" for each in unmet(wanted, schema, wanted, document)]
    assert problems == []
    assert compared or pattern.pattern == READINESS


def test_what_a_page_cannot_use_is_named() -> None:
    count = {"value": 1, "at_least": False}
    good = {"waiting": count, "blocked": count, "dead": count, "overdue": count, "first_overdue": None}
    assert answer_error("GET", "/v1/inbox", good) is None
    assert answer_error("GET", "/v1/inbox", {**good, "dead": {"value": "many"}}) == (
        "dead.value: Input should be a valid integer"
    )
    assert answer_error("GET", "/v1/process", {"started_at": "9999-12-31T23:59:59+00:00"}) is not None
    assert answer_error("GET", "/v1/recorded-events", {"items": [{}] * 2000}) is not None
    assert answer_error("GET", "/v1/anything", {"x": 1}) is None
