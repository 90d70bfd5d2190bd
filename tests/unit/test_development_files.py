"""The files for development: the example environment, the hooks, and the workflow."""

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


def test_the_example_contains_the_variables_of_compose_with_their_defaults() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert examples() == dict(SUBSTITUTION.findall(compose))


def test_every_variable_of_the_example_is_a_setting() -> None:
    assert set(examples()) <= settings.variables()


def test_the_workflow_runs_the_commands_of_developers() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert ".ci/run" in commands()
    for command in commands():
        script = command.split()[0]
        assert command.removeprefix("make ") in targets or (
            script.startswith(".ci/") and os.access(ROOT / script, os.X_OK)
        )


def test_the_workflow_uses_the_oldest_and_the_newest_python() -> None:
    oldest = ".".join(map(str, bootstrap.OLDEST))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={oldest}"
    (newest,) = set(re.findall(r"^FROM python:([0-9.]+)", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE))
    for job in ("run", "newcomer"):
        assert workflow()["jobs"][job]["strategy"]["matrix"]["python"] == [oldest, newest]


def test_the_workflow_requires_containers_in_one_job_only() -> None:
    jobs = workflow()["jobs"]
    assert [name for name, job in jobs.items() if containers.REQUIRED in job.get("env", {})] == ["run"]
    assert jobs["run"]["env"][containers.REQUIRED] == "1"


def test_the_commands_of_the_readme_run_as_an_ordinary_user_in_a_container() -> None:
    script = (ROOT / ".ci/in-container").read_text(encoding="utf-8")
    assert re.findall(r"'(make [^']+)'", script) == ["make demo EXIT=1", "make check", "make test"]
    machine = stages(ROOT / ".ci/newcomer.Dockerfile")[-1]
    assert [line.text for line in machine if line.name == "USER"] == ["newcomer"]
    assert not {"git", "docker"} & {word for line in machine for word in line.words}
    assert any(step.get("run", "").startswith(".ci/in-container") for step in workflow()["jobs"]["newcomer"]["steps"])


def test_the_workflow_has_read_permissions_only() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow()["jobs"].values())


def test_the_hooks_run_tools_of_the_check() -> None:
    document = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in document["repos"] for hook in repository["hooks"]]
    check = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    for hook in hooks:
        assert hook["language"] == "system"  # nothing is downloaded, so the versions are those of the lock
        tool = hook["entry"].removeprefix(".venv/bin/").removeprefix("python -m ").split()[0]
        assert tool in check


def test_the_cost_of_a_million_events_is_computed_from_the_baseline() -> None:
    measured = json.loads((ROOT / "benchmarks/baseline.json").read_text(encoding="utf-8"))["relay"]
    page = " ".join((ROOT / "docs/how-to/run-on-aws.md").read_text(encoding="utf-8").split())
    quoted = re.search(r"a relay makes ([0-9.]+) calls to publish and ([0-9.]+) calls in all per event", page)
    assert quoted
    publishes, calls = float(quoted[1]), float(quoted[2])
    assert publishes == pytest.approx(measured["publish_calls"], rel=0.1)
    assert calls == pytest.approx(measured["aws_calls"], rel=0.1)
    # The calls of the relay except publishing, and those of a consumer.
    cost = 0.30 * publishes + 0.50 * 2 * (calls - publishes)
    assert f"| ${cost:.2f} | ${cost * 10:.2f} |" in page
