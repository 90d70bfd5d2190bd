"""Words that the project gave up for the field's own terms are not used again: in code, documents, logs and help."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sources import named, project_files

# What was renamed, and to what, is told in these.
EXEMPT = (
    "CHANGELOG.md",
    "docs/decisions/",
    "tests/architecture/test_vocabulary.py",
    "locks/",
    "docs/reference/openapi/",
)
ENDINGS = {"", ".py", ".json", ".md", ".toml", ".yaml", ".yml", ".j2", ".sql", ".patch", ".txt", ".svg", ".example"}
# Revisions of databases that exist keep their names.
RELEASED = ("services/notification/migrations/versions/v0002_deferral.py",)
INSTEAD = {
    "gate": "database breaker",
    "gates": "database breakers",
    "blame": "attribution, cause",
    "blamed": "attributed",
    "upkeep": "maintenance",
    "heir": "successor",
    "heirs": "successors",
    "couriers": "dispatchers",
    "leashes": "reapers",
    "figure": "metric, number",
    "doorbells": "notifiers, listeners",
    "wayback": "confirmation path",
    "stumble": "fail",
    "nets": "dead-letter queue drain",
    "bury": "dead-letter",
    "buried": "dead-lettered",
    "parked": "deferred",
    "deferral": "deferred message",
    "deferrals": "deferred messages",
    "endings": "outcomes",
    "suspect": "possibly poisonous message",
    "suspects": "possibly poisonous messages",
    "courier": "dispatcher",
    "coalescer": "batch writer",
    "doorbell": "notifier, listener",
    "refusals": "rejections",
    "leash": "reaper",
    "tour": "scenario",
    "told": "reported",
    "anew": "again; recreated",
    "rooms": "modules",
    "arrows": "dependencies",
    "figures": "metrics, numbers",
    "findings": "views",
    "stumbles": "faults",
}
PHRASES = {
    r"put(s|ting)? aside": "defer",
    r"nobody's attempt": "not counted as an attempt",
    r"events? states?\b(?! (machine|of))": "publish, record, describe",
    r"way back": "confirmation path",
}
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def test_no_retired_word_is_used() -> None:
    found = [
        f"{named(path)}:{line}: {word!r}: {instead}" for path in _texts() for line, word, instead in _retired(path)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class DatabaseGate:", ["gate"]),
        ("the message was put aside", [r"put(s|ting)? aside"]),
        ("on_the_doorbell = 1", ["doorbell"]),
        ("an investigated aggregate", []),
        ("the event states that", [r"events? states?\b(?! (machine|of))"]),
    ],
)
def test_the_rule_sees_them(text: str, words: list[str]) -> None:
    assert [word for word, _ in _words(text)] == words


def _texts() -> Iterator[Path]:
    for path in project_files():
        if path.suffix in ENDINGS and not named(path).startswith((*EXEMPT, *RELEASED)):
            yield path


def _retired(path: Path) -> Iterator[tuple[int, str, str]]:
    for word, instead in _words(named(path)):
        yield 0, word, instead
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for word, instead in _words(line):
            yield number, word, instead


def _words(text: str) -> Iterator[tuple[str, str]]:
    for part in WORD.findall(text):
        if (word := part.lower()) in INSTEAD:
            yield word, INSTEAD[word]
    for phrase, instead in PHRASES.items():
        if re.search(phrase, text, re.IGNORECASE):
            yield phrase, instead
