"""Compares the events in the code with those of the last release, as services of both run at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import jsonschema
from pydantic import ValidationError

from event_trio.contracts.payload import EventPayload, PayloadMode
from event_trio.contracts.schema import schema_path
from event_trio.envelope import Envelope
from tools.catalog.released import PublishedSchema
from tools.catalog.schema_changes import Break, breaking_changes

ENVELOPE = "envelope"
"""Stands for the envelope, where a name of an event is expected."""


@dataclass(frozen=True, slots=True)
class BrokenEvent:
    """A published version of an event that services of the last release and new ones understand differently."""

    name: str
    """Type and version: `order.placed/1`."""
    release: str
    module: str
    """The file that declares it; empty if none does."""
    breaks: tuple[Break, ...]


def broken_events(released: Mapping[str, PublishedSchema], payloads: Iterable[type[EventPayload]]) -> list[BrokenEvent]:
    """The published versions that a change breaks. New events and new versions break nothing."""
    declared = {schema_path(payload): payload for payload in payloads}
    found = []
    for name, old in released.items():
        payload = declared.get(name)
        breaks = [*_removal(old)] if payload is None else [*_changes(old, payload)]
        if breaks:
            module = "" if payload is None else f"shared/{payload.__module__.replace('.', '/')}.py"
            found.append(BrokenEvent(name, old.release, module, tuple(dict.fromkeys(breaks))))
    return found


def broken_envelope(released: PublishedSchema, envelope: type[Envelope] = Envelope) -> list[BrokenEvent]:
    """The changes that break the envelope, and with it every event; it has no versions."""
    new = PublishedSchema.of_envelope(envelope)
    breaks = [*breaking_changes(released.sent, new.sent), *breaking_changes(released.accepted, new.accepted)]
    return [BrokenEvent(ENVELOPE, released.release, "", tuple(dict.fromkeys(breaks)))] if breaks else []


def _removal(old: PublishedSchema) -> Iterator[Break]:
    if not old.deprecated:
        effect = (
            "events of this version are still in outboxes, queues and dead letters, and publishers of the last release "
            "send more: without the model, consumers make them dead letters"
        )
        yield Break("", "was removed, and the last release does not declare it deprecated", (effect,))


def _changes(old: PublishedSchema, payload: type[EventPayload]) -> Iterator[Break]:
    new = PublishedSchema.of(payload)
    found = [
        *_declaration(old, new),
        *breaking_changes(old.sent, new.sent),
        *breaking_changes(old.accepted, new.accepted),
    ]
    # Samples of changed schemas would repeat what is found.
    yield from found or _samples(old, new, payload)


def _declaration(old: PublishedSchema, new: PublishedSchema) -> Iterator[Break]:
    before, after = old.declared, new.declared
    if before["owner"] != after["owner"]:
        effect = (
            "the source of the event changes with its owner, and consumers compare sequences per source: they no "
            "longer see that an event is stale"
        )
        yield Break("", f"has the owner {after['owner']!r} instead of {before['owner']!r}", (effect,))
    if (before["payload_mode"], after["payload_mode"]) == (PayloadMode.DATA, PayloadMode.DATA_OR_DATAREF):
        effect = "consumers of the last release were promised `data`; they may have no access to the URL in `dataref`"
        yield Break("", "may have `dataref` instead of `data`", (effect,))


def _samples(old: PublishedSchema, new: PublishedSchema, payload: type[EventPayload]) -> Iterator[Break]:
    """What schemas do not show, such as validators in the model."""
    for sample in old.samples:
        try:
            payload.model_validate(sample)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(str(part) for part in problem["loc"])
            effect = "new consumers reject events that publishers of the last release send"
            yield Break(path, f"does not accept the sample of the last release: {problem['msg']}", (effect,))
    accepts = jsonschema.Draft202012Validator(old.sent, format_checker=jsonschema.FormatChecker())
    for sample in new.samples:
        for problem in accepts.iter_errors(sample):
            effect = "consumers of the last release reject the events of new publishers"
            path = ".".join(str(part) for part in problem.absolute_path)
            yield Break(path, f"has an example that the last release does not accept: {problem.message}", (effect,))
