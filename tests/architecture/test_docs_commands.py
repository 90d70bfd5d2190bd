"""Commands in documents can be copied: they are spelt as a user runs them, and each option exists."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from tests.support.documents import Page, pages
from tests.support.sources import ROOT
from tools.cli.main import app

# The changelog keeps former commands.
LIVING = [found for found in pages() if found.name != "CHANGELOG.md"]
BARE = re.compile(r"(?<![\w./-])event-trio +(?=[a-z-])")
OURS = re.compile(r"\./event-trio(?P<rest>(?: [^`|;&)\n]*)?)")
PLACEHOLDER = re.compile(r"<[a-z][a-z -]*>")
CLAIM = re.compile(r"[Ff]rom `(?P<path>[\w./-]+\.py)`:\n\n```python\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("found", LIVING, ids=lambda found: found.name)


@every_page
def test_the_command_is_spelt_as_a_user_runs_it(found: Page) -> None:
    assert [line for text in code(found) for line in text.splitlines() if BARE.search(line)] == []


@every_page
def test_every_command_and_option_of_event_trio_exists(found: Page) -> None:
    assert [problem for text in code(found) for problem in problems(text)] == []


@every_page
def test_shell_blocks_have_no_placeholders(found: Page) -> None:
    """A shell reads `<id>` as a redirection. A variable that was set before can be copied."""
    blocks = [block.text for block in found.blocks if block.language in {"sh", "bash"}]
    assert [line for text in blocks for line in text.splitlines() if PLACEHOLDER.search(line)] == []


@every_page
def test_shell_blocks_have_valid_syntax(found: Page) -> None:
    for block in found.blocks:
        if block.language in {"sh", "bash"}:
            read = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
            assert (read.returncode, read.stderr) == (0, ""), block.text


@every_page
def test_python_quoted_from_a_file_is_in_that_file(found: Page) -> None:
    for claim in CLAIM.finditer(found.text):
        assert claim["text"].strip() in (ROOT / claim["path"]).read_text(encoding="utf-8"), claim["path"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("./event-trio outbox show x --json", []),
        ("./event-trio --help", []),
        ("T=$(./event-trio token --role operator)", []),
        ("./event-trio outbox replay --type a --type b -r why  # a remark", []),
        ("./event-trio outbox show x \\\n    --nonsense", ["outbox show has no --nonsense"]),
        ("./event-trio outbox shwo x", ["outbox has no shwo"]),
    ],
)
def test_the_rule_sees_commands(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize("text", ["event-trio token", "$(event-trio outbox status)"])
def test_the_rule_sees_other_spellings(text: str) -> None:
    assert BARE.search(text)
    assert not BARE.search(text.replace("event-trio", "./event-trio"))


def code(found: Page) -> Iterator[str]:
    yield from found.spans
    yield from (block.text for block in found.blocks)


def problems(text: str) -> list[str]:
    """The errors in the calls of event-trio in a text."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [problem for call in OURS.finditer(joined) if (problem := _problem(call["rest"]))]


def _problem(rest: str) -> str | None:
    words = shlex.split(rest, comments=True)
    command: Any = typer.main.get_command(app)
    path: list[str] = []
    while words and not words[0].startswith("-") and (commands := getattr(command, "commands", None)) is not None:
        if words[0] not in commands:
            return f"{' '.join(path)} has no {words[0]}"
        command = commands[words[0]]
        path.append(words.pop(0))
    known = {"--help", *(name for option in command.params for name in (*option.opts, *option.secondary_opts))}
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and option != "-" and option not in known:
            return f"{' '.join(path)} has no {option}"
    return None
