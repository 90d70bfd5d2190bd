"""The small parts of the command line: times, tokens, lanes, and what a terminal may be shown."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
import typer

from event_trio.http.tokens import Role
from tests.support.sources import ROOT
from tools.cli.bearer import Bearer
from tools.cli.outbox_views import ranges
from tools.cli.output import count, duration, printable
from tools.cli.times import parse
from tools.cli.token import RoleName

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("90m", "2026-03-01T10:30:00+00:00"),
        ("2h", "2026-03-01T10:00:00+00:00"),
        ("1d", "2026-02-28T12:00:00+00:00"),
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00:00+09:00", "2026-01-31T08:00:00+09:00"),
    ],
)
def test_a_time_is_given_as_a_date_or_as_how_long_ago(text: str, change: str) -> None:
    assert parse(text, NOW) == change


@pytest.mark.parametrize("text", ["yesterday", "2w", "-1h", "", "999999d"])
def test_what_is_no_time_is_told_with_examples(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="7d"):
        parse(text, NOW)


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "a.bnVsbA.c", "..", "a.W10.c"])
def test_a_token_that_cannot_be_read_is_named_by_its_source(token: str) -> None:
    assert Bearer(token, "--token").describe() == "the token from --token (which is no JWT)"


@pytest.mark.parametrize(
    ("lanes", "text"), [([], "none"), ([5], "5 (1)"), ([0, 1, 2, 7, 9, 8], "0-2, 7-9 (6)"), ([1, 3], "1, 3 (2)")]
)
def test_lanes_are_shown_as_ranges(lanes: list[int], text: str) -> None:
    assert ranges(lanes) == text


def test_a_terminal_is_shown_nothing_that_it_would_obey() -> None:
    assert printable("red \x1b[31m [bold]x[/]\r ü 김") == "red \ufffd[31m [bold]x[/]\ufffd ü 김"


def test_counts_and_durations_read_well() -> None:
    assert count({"value": 100000, "at_least": True}) == "100,000 or more"
    assert [duration(s) for s in (None, -1, 0.4, 119, 120, 7200, 200000)] == [
        "",
        "0 s",
        "0 s",
        "119 s",
        "2 min",
        "2 h",
        "2 d",
    ]


def test_the_roles_of_a_token_are_those_that_services_know() -> None:
    assert {role.value for role in RoleName} == {role.value for role in Role}


def test_a_command_starts_without_what_only_tokens_need() -> None:
    """A person who looks for what is stuck waits for every import."""
    heavy = "{'jwt', 'cryptography', 'fastapi', 'sqlalchemy'}"
    seen = f"import sys, tools.cli.main; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", seen], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
