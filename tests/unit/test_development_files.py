"""What helps to develop: the example of an environment, the hooks, and the workflow that runs what .ci/run runs."""

import json
import os
import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.support import containers
from tests.support.images import DOCKERFILE, stages
from tests.support.sources import ROOT
from tools import bootstrap
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
        script = command.split()[0]
        assert command.removeprefix("make ") in targets or (
            script.startswith(".ci/") and os.access(ROOT / script, os.X_OK)
        )


def test_the_workflow_takes_the_oldest_and_the_newest_python_everywhere() -> None:
    oldest = ".".join(map(str, bootstrap.OLDEST))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={oldest}"
    (newest,) = set(re.findall(r"^FROM python:([0-9.]+)", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE))
    for job in ("run", "newcomer"):
        assert workflow()["jobs"][job]["strategy"]["matrix"]["python"] == [oldest, newest]


def test_the_workflow_insists_on_containers_and_elsewhere_does_without() -> None:
    jobs = workflow()["jobs"]
    assert [name for name, job in jobs.items() if containers.REQUIRED in job.get("env", {})] == ["run"]
    assert jobs["run"]["env"][containers.REQUIRED] == "1"


def test_a_newcomer_in_a_container_is_an_ordinary_user_who_runs_the_readme_s_commands() -> None:
    script = (ROOT / ".ci/in-container").read_text(encoding="utf-8")
    assert re.findall(r"'(make [^']+)'", script) == ["make demo EXIT=1", "make check", "make test"]
    machine = stages(ROOT / ".ci/newcomer.Dockerfile")[-1]
    assert [line.text for line in machine if line.name == "USER"] == ["newcomer"]
    assert not {"git", "docker"} & {word for line in machine for word in line.words}
    assert any(step.get("run", "").startswith(".ci/in-container") for step in workflow()["jobs"]["newcomer"]["steps"])


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
