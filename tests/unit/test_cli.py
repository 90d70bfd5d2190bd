"""The formats of the command line: times, tokens, lanes, and text that is safe to print."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
import typer

from event_trio.http.tokens import Role
from tests.support.sources import ROOT
from tools.cli.bearer import Bearer
from tools.cli.formats import bounded_count, duration, printable
from tools.cli.help_texts import join_lines
from tools.cli.outbox_views import ranges
from tools.cli.times import parse
from tools.cli.token import RoleName

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", "2026-03-01T10:30:00+00:00"),
        ("2h", "2026-03-01T10:00:00+00:00"),
        ("1d", "2026-02-28T12:00:00+00:00"),
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00:00+09:00", "2026-01-31T08:00:00+09:00"),
    ],
)
def test_a_time_is_parsed_from_a_date_or_an_age(text: str, expected: str) -> None:
    assert parse(text, NOW) == expected


@pytest.mark.parametrize("text", ["yesterday", "2w", "-1h", "", "999999d"])
def test_an_invalid_time_is_rejected_with_examples(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="7d"):
        parse(text, NOW)


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "a.bnVsbA.c", "..", "a.W10.c"])
def test_an_unreadable_token_is_described_by_its_source(token: str) -> None:
    assert Bearer(token, "--token").describe() == "the token from --token (not a JWT)"


@pytest.mark.parametrize(
    ("lanes", "text"), [([], "none"), ([5], "5 (1)"), ([0, 1, 2, 7, 9, 8], "0-2, 7-9 (6)"), ([1, 3], "1, 3 (2)")]
)
def test_lanes_are_shown_as_ranges(lanes: list[int], text: str) -> None:
    assert ranges(lanes) == text


def test_control_characters_are_not_printed() -> None:
    assert printable("red \x1b[31m [bold]x[/]\r ü 김") == "red \ufffd[31m [bold]x[/]\ufffd ü 김"


def test_counts_and_durations_are_formatted() -> None:
    assert bounded_count({"value": 100000, "at_least": True}) == "100,000 or more"
    assert [duration(s) for s in (None, -1, 0.4, 119, 120, 7200, 200000)] == [
        "",
        "0 s",
        "0 s",
        "119 s",
        "2 min",
        "2 h",
        "2 d",
    ]


def test_the_roles_of_a_token_are_those_of_the_services() -> None:
    assert {role.value for role in RoleName} == {role.value for role in Role}


def test_commands_do_not_import_what_only_the_token_command_needs() -> None:
    """Every import delays each command."""
    heavy = "{'jwt', 'cryptography', 'fastapi', 'sqlalchemy'}"
    seen = f"import sys, tools.cli.main; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", seen], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_terminal_breaks_the_lines_of_help() -> None:
    app = typer.Typer()

    @app.command()
    def act() -> None:
        """Do it.

        A line of
        the source.

        Another paragraph.
        """

    parent = typer.Typer()
    parent.add_typer(app)
    join_lines(parent)
    assert app.registered_commands[0].help == "Do it.\n\nA line of the source.\n\nAnother paragraph."
