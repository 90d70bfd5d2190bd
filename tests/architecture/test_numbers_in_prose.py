"""Every number in the prose of a page has an entry in a register that compares it with the code or names its source."""

import importlib.util
import re

import pytest

from tests.architecture.test_faults import exists
from tests.support.documents import page, pages
from tests.support.numbers_of_explanations import EXPLANATIONS
from tests.support.numbers_of_guides import GUIDES
from tests.support.numbers_of_operations import OPERATIONS
from tests.support.prose_numbers import Aws, Code, Entry, Example, Measured, numbers, of_page, plain
from tests.support.sources import ROOT

REGISTER: dict[str, tuple[Entry, ...]] = {**GUIDES, **OPERATIONS, **EXPLANATIONS}
FOLDERS = ("docs/how-to/", "docs/explanation/", "docs/comparisons/")
PAGES = [
    found.name
    for found in pages()
    if found.name in {"README.md", "SECURITY.md", "docs/glossary.md"} or found.name.startswith(FOLDERS)
]
SOURCE = re.compile(r"Amazon (?:SNS|SQS|ECS) (?:Developer Guide|API Reference), .+")

every_entry = pytest.mark.parametrize(
    ("name", "entry"),
    [(name, entry) for name, entries in REGISTER.items() for entry in entries],
    ids=lambda value: value if isinstance(value, str) else value.phrase,
)


@pytest.mark.parametrize("name", PAGES)
def test_every_number_has_an_entry(name: str) -> None:
    text = of_page(page(name))
    held = [span for entry in REGISTER.get(name, ()) for span in _spans(plain(entry.phrase), text)]
    unregistered = [
        text[max(0, number.begin - 40) : number.end + 20]
        for number in numbers(text)
        if not any(begin <= number.begin and number.end <= end for begin, end in held)
    ]
    assert unregistered == [], "add an entry to tests/support/numbers_of_*.py"


@every_entry
def test_every_entry_is_on_its_page_and_has_a_number(name: str, entry: Entry) -> None:
    assert plain(entry.phrase) in of_page(page(name)), "the phrase is no longer on the page: change the entry too"
    assert list(numbers(plain(entry.phrase))), "no number in it"


@every_entry
def test_every_number_agrees_with_its_evidence(name: str, entry: Entry) -> None:
    match entry:
        case Code(phrase, values):
            stated = [value for number in numbers(plain(phrase)) for value in number.values]
            assert stated == pytest.approx(list(values)), f"{name} states {stated}; the code has {list(values)}"
        case Aws(source=source):
            assert all(SOURCE.fullmatch(one) for one in source.split("; "))
        case Measured(command=command):
            assert _can_be_run(command)
        case Example(what=what):
            assert what


def test_every_page_of_the_register_exists() -> None:
    assert set(REGISTER) - set(PAGES) == set()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("within ten seconds or half a minute", [10, 30]),
        ("7 days, 256 KiB, 1.5 MB and 63 ms", [604_800, 262_144, 1_500_000, 0.063]),
        ("(0.2 to 30 seconds)", [0.2, 30]),
        ("200 orders at 20 a second, twice a second", [200, 20, 2]),
        ("steps of a thousand, at most 10,000 in all", [1000, 10_000]),
        ("more than 9 %, 3,000 messages/s, $0.26", [9, 3000, 0.26]),
        ("from the third delivery on, more than a fifth.", [3, 0.2]),
        ("the oldest 300 published events", [300]),
        ("one event of a group, a second relay, Python 3.11, 4.14.0", []),
        (plain("`10 seconds` and [x](y-20-seconds.md)"), []),
    ],
)
def test_the_rule_sees_numbers(text: str, values: list[float]) -> None:
    assert [value for number in numbers(text) for value in number.values] == pytest.approx(values)


@pytest.mark.parametrize("command", ["make test-nothing", "python -m benchmarks.gone", "unit/test_gone.py::test_so"])
def test_the_rule_sees_commands_that_cannot_be_run(command: str) -> None:
    assert not _can_be_run(command)


def _spans(phrase: str, text: str) -> list[tuple[int, int]]:
    return [found.span() for found in re.finditer(re.escape(phrase), text)]


def _can_be_run(command: str) -> bool:
    if command.startswith("make "):
        return re.search(rf"^{command[5:]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE) is not None
    if command.startswith("python -m "):
        return importlib.util.find_spec(command[10:]) is not None
    file, _, test = command.removeprefix("tests/").partition("::")
    return exists(file, test)
