"""Each alarm of the run book names what doctor reports, and each problem of doctor is in the run book."""

import re

import pytest

from tests.support.documents import page
from tools.cli.doctor.catalog import KINDS, problem

RUN_BOOK = page("docs/how-to/run-book.md").text
ALARMS, PROBLEMS = RUN_BOOK.split("\n## Problems that doctor finds\n")
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", ALARMS, re.MULTILINE | re.DOTALL))
LINE = re.compile(r"^Doctor: (?:`[a-z-]+`(?:, |\.$))+$", re.MULTILINE)


@pytest.mark.parametrize("alarm", SECTIONS)
def test_each_alarm_names_what_doctor_reports(alarm: str) -> None:
    line = LINE.search(SECTIONS[alarm])
    assert line, f"{alarm} has no line `Doctor: ...`"
    assert set(re.findall(r"`([a-z-]+)`", line[0])) <= KINDS.keys()


def test_each_problem_is_in_the_run_book() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\w+) \| (.+) \|$", PROBLEMS, re.MULTILINE)
    assert rows == [(code, kind.severity, kind.why) for code, kind in KINDS.items()]


@pytest.mark.parametrize("code", KINDS)
def test_each_problem_says_why_it_matters_and_what_mends_it(code: str) -> None:
    values = dict.fromkeys(("service", "group", "remedy", "command"), "x")
    found = problem(code, "order", "what", **values)
    assert found.kind.why
    assert "{" not in found.remedy + found.command


def test_an_unknown_problem_is_refused() -> None:
    with pytest.raises(KeyError):
        problem("nothing", "order", "what")
