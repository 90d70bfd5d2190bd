"""Writes the files of a new service from templates, and an entry in each file that lists the services."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tools.scaffold.plan import Plan, ScaffoldRefused

TEMPLATES = Path(__file__).parent / "templates"
SUBSTITUTION = re.compile(r"\$\{(\w+):-([^}]*)\}")
READMES = {"README.md": "handles {events}", "README.ko.md": "{events} 이벤트를 처리합니다"}
"""The pages with a table of the folders, and the text for a new service."""
CONSOLE = "\n      EVENT_TRIO_SERVICES: >-"
"""Before the processes that the console calls."""
INDEPENDENT = 'modules = ["services.order", "services.relay", "services.notification"'


def write(root: Path, plan: Plan) -> list[Path]:
    """Write the service into the project at `root`; returns the files that were written or changed.

    Nothing is written when a file exists already, or when one to change has an unexpected form. After a failure, all
    files are restored. Raises ScaffoldRefused.
    """
    environment = _environment()
    imports: dict[str, list[str]] = {}
    for event in plan.events:
        imports.setdefault(event.module, []).append(event.classname)
    facts = {
        **{field: getattr(plan, field) for field in ("name", "classname", "events", "topic", "published", "publishes")},
        **{"port": plan.port, "relay_port": plan.port + 1, "module": plan.name, "imports": imports},
    }
    facts["service"], facts["subscribes"] = plan.name, [plan.topic]
    files = {
        root / target: environment.get_template(template).render(
            facts | ({"topic": plan.publishes} if for_own_topic else {"events": _named(template, plan)})
        )
        for target, template, for_own_topic in _files(plan)
    }
    for path in files:
        if path.exists():
            raise ScaffoldRefused(f"{path.relative_to(root)} exists already; choose another NAME. Nothing was written")
    _ensure_distinct(files, plan)
    files |= _entries(root, plan, environment, facts)
    _put(root, files)
    return list(files)


def _ensure_distinct(files: Mapping[Path, str], plan: Plan) -> None:
    """Raises ScaffoldRefused when a class of the service would have the name of one that the same file imports."""
    own = {plan.classname, *(event.classname for event in plan.published)}
    modules = (f"services.{plan.name}", f"event_trio.contracts.{plan.name}")
    for path, text in files.items():
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.ImportFrom):
                continue
            ours = path.parent.name != "contracts" if node.level else str(node.module).startswith(modules)
            if not ours:
                for taken in own & {alias.name for alias in node.names}:
                    raise ScaffoldRefused(
                        f"a class of the service would have the name {taken}, which it imports from {node.module}; "
                        "choose another NAME or event type. Nothing was written"
                    )


def _put(root: Path, files: Mapping[Path, str]) -> None:
    before = {path: path.read_bytes() if path.exists() else None for path in files}
    folders = {folder for path in files for folder in path.parents if folder.is_relative_to(root)}
    made = sorted((folder for folder in folders if not folder.exists()), reverse=True)
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        _format([path for path in files if path.suffix == ".py"])
    except BaseException as error:
        for path, content in before.items():
            if content is not None:
                path.write_bytes(content)
            else:
                path.unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError | subprocess.CalledProcessError):
            raise ScaffoldRefused(f"{error}. All files were restored") from error
        raise


def render(template: str, **facts: object) -> str:
    """Render a template of the topology, for tests that compare it with those of the project."""
    return _environment().get_template(f"infra/{template}.yaml.j2").render(facts)


def _environment() -> Environment:
    # The output is code and configuration, not HTML.
    return Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )


def _files(plan: Plan) -> Iterator[tuple[str, str, bool]]:
    """Target and template of each new file, and whether it describes the topic of the service."""
    for path in sorted((TEMPLATES / "service").rglob("*.j2")):
        inside = path.relative_to(TEMPLATES / "service").as_posix()
        yield f"services/{plan.name}/{inside.removesuffix('.j2')}", f"service/{inside}", False
    yield f"tests/integration/test_{plan.name}.py", "root/test.py.j2", False
    yield f"infra/templates/{plan.name}-{plan.topic}.yaml", "infra/subscriber.yaml.j2", False
    yield f"infra/templates/access-{plan.name}.yaml", "infra/access.yaml.j2", False
    if plan.published:
        yield f"shared/event_trio/contracts/{plan.name}.py", "root/contract.py.j2", False
        yield f"infra/templates/{plan.publishes}.yaml", "infra/topic.yaml.j2", True
        yield f"infra/templates/{plan.publishes}-publish-check.yaml", "infra/publish-check.yaml.j2", True


def _named(template: str, plan: Plan) -> object:
    return [event.type for event in plan.events] if template.startswith("infra/") else plan.events


def _entries(root: Path, plan: Plan, environment: Environment, facts: dict[str, object]) -> dict[Path, str]:
    compose, example = root / "docker-compose.yml", root / ".env.example"
    databases, project = root / "infra/postgres/databases.sql", root / "pyproject.toml"
    scraped = root / "infra/prometheus/prometheus.yaml"
    containers = environment.get_template("root/compose.yml.j2").render(facts)
    contracts = environment.get_template("root/import_contracts.toml.j2").render(facts)
    examples = example.read_text(encoding="utf-8")
    new = dict(SUBSTITUTION.findall(containers)).items()
    return {
        compose: _before(compose, "volumes:\n", containers, _with_console(compose, plan)),
        example: examples + "\n" + "".join(f"#{key}={value}\n" for key, value in new if f"#{key}=" not in examples),
        databases: databases.read_text(encoding="utf-8") + f"CREATE DATABASE {plan.name};\n",
        scraped: scraped.read_text(encoding="utf-8") + _scrape_jobs(plan),
        project: _after(project, INDEPENDENT, f', "services.{plan.name}"') + contracts,
        **{root / page: _with_table_row(root / page, plan) for page in READMES},
    }


def _with_table_row(path: Path, plan: Plan) -> str:
    """The page with a row for the service after the others."""
    events = ", ".join(f"`{event.type}`" for event in plan.events)
    row = f"| [`services/{plan.name}/`](services/{plan.name}) | {READMES[path.name].format(events=events)} |"
    before, found, after = path.read_text(encoding="utf-8").rpartition("\n| [`services/")
    last, end, rest = after.partition("\n")
    return f"{before}{_expected(path, found)}{last}{end}{row}\n{rest}"


def _with_console(path: Path, plan: Plan) -> str:
    """The containers, with the service and its relay among the processes that the console calls."""
    before, found, after = path.read_text(encoding="utf-8").partition(CONSOLE)
    last, blank, rest = after.partition("\n      #")
    added = "".join(f"\n        {name}=http://{name}:{port}" for name, port in _ports(plan).items())
    return f"{before}{_expected(path, found)}{last}{added}{_expected(path, blank)}{rest}"


def _scrape_jobs(plan: Plan) -> str:
    """What Prometheus reads, as the last entries of its configuration."""
    return "".join(
        f"  - job_name: {name}\n"
        f"    dns_sd_configs: [{{names: [{name}], type: A, port: {port}, refresh_interval: 10s}}]\n"
        for name, port in _ports(plan).items()
    )


def _ports(plan: Plan) -> dict[str, int]:
    """The port of the service in its container, and that of its relay if it publishes."""
    return {plan.name: plan.port, **({f"{plan.name}-relay": plan.port + 1} if plan.published else {})}


def _before(path: Path, anchor: str, text: str, content: str) -> str:
    before, found, after = content.rpartition(f"\n{anchor}")
    return f"{before}\n{text}{_expected(path, found)[1:]}{after}"


def _after(path: Path, anchor: str, text: str) -> str:
    before, found, after = path.read_text(encoding="utf-8").partition(anchor)
    return f"{before}{_expected(path, found)}{text}{after}"


def _expected(path: Path, found: str) -> str:
    if not found:
        raise ScaffoldRefused(f"{path.name} has an unexpected form. Nothing was written")
    return found


def _format(paths: list[Path]) -> None:
    """Format the files, and sort their imports, as the project does."""
    format_, sort = ["format", "--quiet"], ["check", "--fix", "--quiet", "--exit-zero"]
    for arguments in (format_, sort, format_):
        subprocess.run([sys.executable, "-m", "ruff", *arguments, *paths], check=True)
