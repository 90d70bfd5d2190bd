"""What helps to develop: the example of an environment, the hooks, and the workflow that runs what .ci/run runs."""

import json
import re
from typing import Any

import pytest
import yaml

from tests.support.sources import ROOT
from tools.reference import settings

SUBSTITUTION = re.compile(r"\$\{(\w+):-([^}]*)\}")


def examples() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^#([A-Z_]+)=(.*)$", text, re.MULTILINE))


def workflow() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    return document


def commands() -> list[str]:
    return [step["run"] for job in workflow()["jobs"].values() for step in job["steps"] if "run" in step]


def test_the_example_shows_what_compose_puts_in_and_with_its_default() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert examples() == dict(SUBSTITUTION.findall(compose))


def test_every_variable_of_the_example_is_a_setting() -> None:
    assert set(examples()) <= settings.variables()


def test_the_workflow_runs_what_a_developer_runs() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert ".ci/run" in commands()
    for command in commands():
        assert command == ".ci/run" or command.removeprefix("make ") in targets


def test_the_workflow_may_only_read() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow()["jobs"].values())


def test_the_hooks_are_tools_that_the_check_runs_too() -> None:
    document = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in document["repos"] for hook in repository["hooks"]]
    check = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    for hook in hooks:
        assert hook["language"] == "system"  # nothing is fetched, so nothing differs from the lock
        tool = hook["entry"].removeprefix(".venv/bin/").removeprefix("python -m ").split()[0]
        assert tool in check


def test_what_a_million_events_cost_is_computed_from_what_was_measured() -> None:
    measured = json.loads((ROOT / "benchmarks/baseline.json").read_text(encoding="utf-8"))["relay"]
    page = " ".join((ROOT / "docs/how-to/run-on-aws.md").read_text(encoding="utf-8").split())
    told = re.search(r"a relay makes ([0-9.]+) calls to publish and ([0-9.]+) calls in all per event", page)
    assert told
    publishes, calls = float(told[1]), float(told[2])
    assert publishes == pytest.approx(measured["publish_calls"], rel=0.1)
    assert calls == pytest.approx(measured["aws_calls"], rel=0.1)
    # The relay's calls beside publishing, and as many of a consumer.
    cost = 0.30 * publishes + 0.50 * 2 * (calls - publishes)
    assert f"| ${cost:.2f} | ${cost * 10:.2f} |" in page
