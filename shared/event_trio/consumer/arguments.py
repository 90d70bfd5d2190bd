"""Validates the arguments of `consume`, as the settings of a service are validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any

from pydantic import ConfigDict, SecretStr, TypeAdapter, ValidationError

from ..broker.aws import drain_for
from ..broker.names import FIFO
from ..broker.source import MessageSource
from ..errors import ConfigurationError
from ..http_client.client import network_route
from ..setting_types import HeaderSecret
from ..urls import http_url
from .options import ConsumerOptions
from .policies import UnknownTypes
from .settings import ConsumerSettings, parts

LONGEST_NAME_BYTES = 256
"""The longest name of a consumer. It is in each index entry, beside the key of an event."""


def checked_names(queue: str | MessageSource, consumer: str | None, others: Mapping[str, str | None]) -> str:
    """Return the name of the consumer; raises ConfigurationError if a queue or the name cannot be used.

    `others` are the queues of dead letters and the topic, by parameter. A source of another broker has none.
    """
    if isinstance(queue, str):
        _check_queue("queue", queue)
    elif not callable(getattr(queue, "receive", None)):
        raise ConfigurationError(
            f"queue is {_article(queue)}: give the name or the URL of an SQS queue, or an event_trio.broker.source."
            "MessageSource"
        )
    for parameter, other in others.items():
        if other is None:
            continue
        if not isinstance(queue, str):
            raise ConfigurationError(f"{parameter} belongs to a queue of SQS; leave it out with a source")
        if parameter == "topic":
            continue
        _check_queue(parameter, other)
        if other == queue or (("://" not in other or "://" not in queue) and _name(other) == _name(queue)):
            raise ConfigurationError(
                f"{parameter} is the queue itself, whose messages would all become dead letters: give another queue, "
                "or leave it out"
            )
    known = _name(queue).removesuffix(FIFO) if isinstance(queue, str) else queue.name
    name = known if consumer is None else consumer
    if not isinstance(name, str) or not name.strip() or "\x00" in name:
        raise ConfigurationError("consumer must be a text that is not empty: the name of the program, for instance")
    if len(name.encode(errors="replace")) > LONGEST_NAME_BYTES:
        raise ConfigurationError(f"consumer is longer than {LONGEST_NAME_BYTES} bytes: choose a shorter name")
    return name


def checked_unknown_types(value: UnknownTypes | str) -> UnknownTypes:
    """Return the choice, which may be given as its text; raises ConfigurationError."""
    try:
        return UnknownTypes(value)
    except ValueError:
        choices = " or ".join(repr(str(choice)) for choice in UnknownTypes)
        raise ConfigurationError(f"unknown_types is {value!r}: use {choices}") from None


def checked_options(options: ConsumerOptions | None) -> ConsumerOptions:
    """Return the options with parsed addresses; raises ConfigurationError if one is out of bounds.

    The bounds are those of the settings.
    """
    if options is None:
        return ConsumerOptions()
    if not isinstance(options, ConsumerOptions):
        raise ConfigurationError(
            f"options is {_article(options)}: pass event_trio.consumer.ConsumerOptions(concurrency=16), for instance"
        )
    for each in fields(options):
        if (setting := ConsumerSettings.model_fields.get(each.name)) and not each.name.startswith("payload_"):
            _check(each.name, getattr(options, each.name), setting.annotation, *setting.metadata)
    least = drain_for(options.queue_wait_seconds)
    if options.drain_seconds < least:
        raise ConfigurationError(
            f"options.drain_seconds ({options.drain_seconds:g}) must be above queue_wait_seconds "
            f"({options.queue_wait_seconds}), and at least {least:g}, so that the last receive can end: raise it, or "
            "lower queue_wait_seconds"
        )
    if options.payload_token is not None:
        token = SecretStr(options.payload_token) if isinstance(options.payload_token, str) else options.payload_token
        _check("payload_token", token, HeaderSecret)
    return replace(options, payload_origins=_origins(options.payload_origins))


def ensure_type(parameter: str, value: object, kinds: type | tuple[type, ...], remedy: str) -> None:
    """Raise ConfigurationError unless the argument has one of the types."""
    if not isinstance(value, kinds):
        raise ConfigurationError(f"{parameter} is {_article(value)}: {remedy}")


def _check_queue(parameter: str, queue: object) -> None:
    if not isinstance(queue, str) or not queue.strip():
        raise ConfigurationError(f"{parameter} is empty or no text: give the name or the URL of an SQS queue")
    if queue.startswith("arn:"):
        raise ConfigurationError(f"{parameter} is an ARN: give the name or the URL, for instance {_last(queue)!r}")
    if not _name(queue):
        raise ConfigurationError(f"{parameter} has no name at its end: give the name or the URL of an SQS queue")


def _check(name: str, value: object, kind: Any, *metadata: Any) -> None:
    checked: Any = Annotated[kind, *metadata] if metadata else kind
    try:
        TypeAdapter(checked, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]["msg"]
        raise ConfigurationError(f"options.{name}: {problem.removeprefix('Value error, ')}") from None


def _origins(given: object) -> tuple[str, ...]:
    origins = parts(given) if isinstance(given, str) else given
    if not isinstance(origins, (tuple, list)) or not all(isinstance(origin, str) for origin in origins):
        raise ConfigurationError("options.payload_origins must be a tuple of addresses")
    for origin in origins:
        try:
            network_route(http_url(origin))
        except ValueError as error:
            raise ConfigurationError(f"options.payload_origins: {origin!r} {error}") from None
    return tuple(origins)


def _name(queue: str) -> str:
    return queue.rpartition("/")[2]


def _last(arn: str) -> str:
    return arn.rpartition(":")[2]


def _article(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
