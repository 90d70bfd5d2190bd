"""Every field of every request body accepts exactly the JSON types of the OpenAPI document."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, TypeAdapter, ValidationError

from event_trio.http.body import RequestBody
from tools.reference.openapi import applications

VALUES: tuple[object, ...] = (None, True, False, 0, 1, 2.0, 0.5, "", "1", "true", "x", [], [1], {}, {"a": 1})


def bodies() -> dict[str, type[BaseModel]]:
    """The models of all request bodies, including nested ones."""
    found: dict[str, type[BaseModel]] = {}
    for app in applications().values():
        for context in iter_route_contexts(app.routes):
            body = getattr(context.original_route, "body_field", None)
            for model in _models(body.field_info.annotation) if body else ():
                found[model.__name__] = model
    return found


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation)
    for inner in get_args(annotation):
        yield from _models(inner)


BODIES = bodies()


def test_request_bodies_are_found() -> None:
    assert {"PlaceOrder", "LineRequest", "ReplayRequest", "RedriveRequest"} <= set(BODIES)


@pytest.mark.parametrize("model", BODIES.values(), ids=list(BODIES))
def test_a_body_is_strict_and_rejects_unknown_fields(model: type[BaseModel]) -> None:
    assert issubclass(model, RequestBody)
    assert model.model_config["strict"] is True
    assert model.model_config["extra"] == "forbid"


@pytest.mark.parametrize("model", BODIES.values(), ids=list(BODIES))
def test_fields_reject_other_json_types(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    taken: list[tuple[str, object]] = []
    for name, field in schema["properties"].items():
        allowed = set(_types(field, schema.get("$defs", {})))
        wrong = [value for value in VALUES if not allowed & _types_of(value)]
        taken += [(name, value) for value in wrong if not _is_refused(model, name, value)]
    assert taken == []


@pytest.mark.parametrize("model", BODIES.values(), ids=list(BODIES))
def test_the_schema_has_every_bound(model: type[BaseModel]) -> None:
    """No bound is written under a name that only pydantic knows."""
    assert not {"ge", "gt", "le", "lt"} & set(_keys(model.model_json_schema()))


@pytest.mark.parametrize("model", BODIES.values(), ids=list(BODIES))
def test_integers_may_have_a_zero_fraction(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    for name, field in schema["properties"].items():
        if "integer" in _types(field, schema.get("$defs", {})):
            assert not _is_refused(model, name, 1.0), name


def _keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            yield key
            yield from _keys(value)
    for each in schema if isinstance(schema, list) else ():
        yield from _keys(each)


def _types(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield from _types(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for key in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(key, []):
            yield from _types(each, definitions)
    if "type" in schema:
        yield schema["type"]


def _types_of(value: object) -> set[str]:
    match value:
        case None:
            return {"null"}
        case bool():
            return {"boolean"}
        case int():
            return {"integer", "number"}
        case float():
            return {"integer", "number"} if value.is_integer() else {"number"}
        case str():
            return {"string"}
        case list():
            return {"array"}
    return {"object"}


def _is_refused(model: type[BaseModel], name: str, value: object) -> bool:
    try:
        TypeAdapter(model).validate_python({name: value})
    except ValidationError as error:
        return any(problem["loc"][:1] == (name,) for problem in error.errors())
    return False
