"""Failure policies in words, from the text of a service: `retry(attempts=8, delay=1, unit=seconds, ...) then ...`.

The console imports nothing of consumers (and of SQLAlchemy), so it does not use the parser of their setting, and a
service of another version may have policies that this one does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .flow_state import StateLine

CALL = re.compile(r"([a-z_]+)(?:\(([^()]*)\))?")
UNITS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0}
RESTS = ("wait", "pass")
FINAL = ("ignore", "dead_letter", "publish_failure")


def policy_lines(text: str) -> tuple[StateLine, ...]:
    """The policy as sentences, each a key of a text and its values. Another text than those known is given as it is."""
    first, then, last = text.partition(" then ")
    calls = [_call(part) for part in ((first, last) if then else (first,))]
    try:
        return tuple(line for name, given in calls for line in _lines(name, given, follows=bool(then)))
    except (KeyError, ValueError):
        return (StateLine("catalog.policy.other", {"text": text}),)


def _lines(name: str, given: Mapping[str, str], *, follows: bool) -> Iterator[StateLine]:
    if name == "retry":
        seconds = float(given["delay"]) * UNITS[given["unit"]]
        growth = "grows" if float(given["backoff"]) > 1 else "stays"
        values = {"count": int(given["attempts"]), "seconds": seconds, "factor": f"{float(given['backoff']):g}"}
        yield StateLine(f"catalog.policy.retry.{growth}", values)
        yield StateLine(f"catalog.policy.retry.{_one_of(RESTS, given['rest'])}")
    elif name == "retry_in_place":
        yield StateLine("catalog.policy.retry_in_place", {"seconds": float(given["within"])})
    else:
        yield StateLine(f"catalog.policy.{'then' if follows else 'at_once'}.{_one_of(FINAL, name)}")
        if given.get("rest") == "wait":
            yield StateLine("catalog.policy.rest_waits")


def _call(text: str) -> tuple[str, dict[str, str]]:
    found = CALL.fullmatch(text.strip())
    if found is None:
        return "", {}
    pairs = (part.partition("=") for part in (found[2] or "").split(","))
    return found[1], {name.strip(): value.strip() for name, _, value in pairs}


def _one_of(known: tuple[str, ...], given: str) -> str:
    """The value; raises ValueError for one that has no text."""
    if given not in known:
        raise ValueError(given)
    return given
