"""Finds the changes of a JSON Schema that break services of the other release: publishers or consumers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

# Keywords that describe, and do not decide which values are valid.
ANNOTATIONS = frozenset({"title", "description", "examples", "deprecated", "default", "$comment", "$id", "$schema"})
STRUCTURE = frozenset({"properties", "required", "items", "$defs", "$ref"})
# Keywords whose greater value accepts more, and those whose smaller value does.
UPPER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
LOWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})

OLD_CONSUMERS = (
    "consumers of the last release reject the events of new publishers, which then are dead letters there: {reason}"
)
NEW_CONSUMERS = (
    "new consumers reject the events of the last release, from publishers that are not yet updated, outboxes, queues "
    "and dead letters: {reason}"
)


@dataclass(frozen=True, slots=True, order=True)
class Break:
    """A change that breaks a published version: what changed, and what it does to whom."""

    path: str
    change: str
    effects: tuple[str, ...]


def breaking_changes(old: Schema, new: Schema) -> list[Break]:
    """The breaking changes from one schema of an object to another. Neither rejects fields that it does not know."""
    return list(_Comparison(old, new).compare(old, new, ""))


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old_definitions: Schema = old.get("$defs", {})
        self._new_definitions: Schema = new.get("$defs", {})
        self._compared: set[tuple[str, str]] = set()

    def compare(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        references = (str(old.get("$ref", "")), str(new.get("$ref", "")))
        if all(references):
            if references in self._compared:
                return  # a model that contains itself
            self._compared.add(references)
        old, new = _resolved(old, self._old_definitions), _resolved(new, self._new_definitions)
        yield from self._keywords(old, new, path)
        yield from self._fields(old, new, path)
        if "items" in old and "items" in new:
            yield from self.compare(old["items"], new["items"], f"{path}[]")

    def _fields(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        before, after = old.get("properties", {}), new.get("properties", {})
        required, now_required = set(old.get("required", ())), set(new.get("required", ()))
        for name in before:
            inner = f"{path}.{name}" if path else name
            if name not in after:
                yield Break(inner, "was removed", (_removed(required=name in required),))
                continue
            if name in required - now_required:
                reason = "they require the field, and publishers may now leave it out"
                yield Break(inner, "is no longer required", (OLD_CONSUMERS.format(reason=reason),))
            if name in now_required - required:
                reason = "they require the field, and events of the last release may lack it"
                yield Break(inner, "became required", (NEW_CONSUMERS.format(reason=reason),))
            yield from self.compare(before[name], after[name], inner)
        for name in after:
            if name not in before and name in now_required:
                reason = "they require the field, and no event of the last release has it"
                inner = f"{path}.{name}" if path else name
                yield Break(inner, "is new and required", (NEW_CONSUMERS.format(reason=reason),))

    def _keywords(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        compared = {name for name in {*old, *new} if name not in ANNOTATIONS | STRUCTURE and not name.startswith("x-")}
        for name in sorted(compared | ({"items"} if ("items" in old) != ("items" in new) else set())):
            before, after = old.get(name), new.get(name)
            if name in ("anyOf", "oneOf", "allOf"):
                before, after = self._plain(before, self._old_definitions), self._plain(after, self._new_definitions)
            if before != after:
                change = f"has another {name}: {_shown(after)} instead of {_shown(before)}"
                yield Break(path, change, tuple(_effects(name, before, after)))

    def _plain(self, value: Any, definitions: Schema) -> Any:
        """The value without annotations, and with its references replaced."""
        if isinstance(value, list):
            return [self._plain(item, definitions) for item in value]
        if isinstance(value, Mapping):
            found = _resolved(value, definitions)
            kept = {key: item for key, item in found.items() if key not in ANNOTATIONS and not key.startswith("x-")}
            return {key: self._plain(item, definitions) for key, item in kept.items()}
        return value


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    reference = schema.get("$ref")
    return {**definitions[reference.rpartition("/")[2]], **schema, "$ref": ""} if reference else schema


def _removed(*, required: bool) -> str:
    if required:
        return OLD_CONSUMERS.format(reason="they require the field")
    return "consumers of the last release that use the field no longer get it, and nothing reports that"


def _effects(keyword: str, before: Any, after: Any) -> Iterator[str]:
    """Whom another value of a keyword breaks: who accepts fewer values than the other side sends."""
    widened, narrowed = True, True
    if keyword in UPPER | LOWER:
        sign = 1 if keyword in UPPER else -1
        widened = after is None or (before is not None and sign * (after - before) > 0)
        narrowed = not widened
    elif keyword == "enum" and before is not None and after is not None:
        widened, narrowed = not set(after) <= set(before), not set(before) <= set(after)
    if widened:
        yield OLD_CONSUMERS.format(reason="they do not accept the additional values")
    if narrowed:
        yield NEW_CONSUMERS.format(reason="they do not accept all earlier values")


def _shown(value: Any) -> str:
    return "none" if value is None else str(value) if isinstance(value, str | int | float) else repr(value)
