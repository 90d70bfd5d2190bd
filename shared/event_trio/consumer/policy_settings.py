"""Failure policies as settings: read, checked against the handlers there are, and put in place of the declared ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import ConfigurationError
from ..settings import suggest
from .policies import MOST_ATTEMPTS, DeadLetter, FailurePolicy, FinalPolicy, Ignore, PublishFailure, Rest, Retry, Unit

NAMES = ["ignore", "dead_letter", "publish_failure", "retry"]
RETRY_ARGUMENTS = ["attempts", "delay", "unit", "backoff", "rest"]
# Digits are [0-9], never \d, which takes those of every script; and so few of them that a number is what it says.
WHOLE = re.compile(r"[0-9]{1,9}")
NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
CALL = re.compile(r"^\s*([A-Za-z_]+)\s*(?:\(([^()]*)\))?\s*$")


def parse_policies(text: str) -> dict[str, FailurePolicy]:
    """Read `<event type>: <policy>` entries, parted by semicolons.

    A policy is `ignore`, `dead_letter`, `dead_letter(rest=wait)`, `publish_failure`, or
    `retry(attempts=5, delay=10, unit=minutes, backoff=2, rest=wait) then <one of the others>`.

    Raises ValueError, saying what was meant.
    """
    found: dict[str, FailurePolicy] = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        name, colon, policy = (part.strip() for part in entry.partition(":"))
        if not colon or not name:
            raise ValueError(f"{entry!r} is no `<event type>: <policy>`")
        if name in found:
            raise ValueError(f"{name} has two policies")
        try:
            found[name] = parse_policy(policy)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return found


def parse_policy(text: str) -> FailurePolicy:
    """Read one policy; raises ValueError."""
    first, then, last = text.partition(" then ")
    name, arguments = _call(first)
    if name != "retry":
        if then:
            raise ValueError(f"nothing follows {name}; only retry has a `then`")
        return _last(name, arguments)
    if unknown := [argument for argument in arguments if argument not in RETRY_ARGUMENTS]:
        raise ValueError(f"retry has no {unknown[0]!r}; {suggest(unknown[0], RETRY_ARGUMENTS)}")
    unit = arguments.get("unit", "seconds")
    if unit.upper() not in Unit.__members__:
        raise ValueError(f"unit {unit!r} is none; {suggest(unit, [known.lower() for known in Unit.__members__])}")
    return Retry(
        attempts=_whole("attempts", arguments.get("attempts", "5")),
        delay=_number("delay", arguments.get("delay", "1")),
        unit=Unit[unit.upper()],
        backoff=_number("backoff", arguments.get("backoff", "2")),
        then=_last(*_call(last)) if then else DeadLetter(),
        rest=_rest(arguments.get("rest", Rest.WAIT)),
    )


def ensure_handled(policies: Mapping[str, FailurePolicy], handled: list[str], setting: str) -> None:
    """Raise ConfigurationError for a policy of a type that has no handler."""
    for name in policies:
        if name not in handled:
            raise ConfigurationError(f"{setting} names {name!r}, which has no handler; {suggest(name, handled)}")


def _last(name: str, arguments: Mapping[str, str]) -> FinalPolicy:
    if name == "retry":
        raise ValueError("retry cannot follow itself")
    allowed = ["rest"] if name == "dead_letter" else []
    if unknown := [argument for argument in arguments if argument not in allowed]:
        raise ValueError(f"{name} has no {unknown[0]!r}")
    if name == "dead_letter":
        return DeadLetter(_rest(arguments.get("rest", Rest.PASS)))
    return Ignore() if name == "ignore" else PublishFailure()


def _call(text: str) -> tuple[str, dict[str, str]]:
    found = CALL.match(text)
    if found is None:
        raise ValueError(f"{text.strip()!r} is no policy; known: {', '.join(NAMES)}")
    name, inside = found[1], found[2] or ""
    if name not in NAMES:
        raise ValueError(f"{name!r} is no policy; {suggest(name, NAMES)}")
    arguments: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in inside.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"{part!r} needs a name, as in attempts=5")
        if key in arguments:
            raise ValueError(f"{name} is given {key!r} twice")
        arguments[key] = value
    return name, arguments


def _whole(name: str, text: str) -> int:
    if not WHOLE.fullmatch(text):
        raise ValueError(f"{name} must be a whole number from 1 to {MOST_ATTEMPTS}, not {_shown(text)}")
    return int(text)


def _number(name: str, text: str) -> float:
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{name} must be a number, such as 2 or 0.5, not {_shown(text)}")
    return float(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 20 else f"{text[:20]}...")


def _rest(text: str) -> Rest:
    known = [str(rest) for rest in Rest]
    if text not in known:
        raise ValueError(f"rest {text!r} is none; {suggest(text, known)}")
    return Rest(text)
