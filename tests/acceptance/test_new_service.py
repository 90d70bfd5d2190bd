"""`make new-service` in a copy of the project: the service follows the rules, receives events, and publishes."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from event_trio.broker.aws import Aws
from tests.support.servers import PostgresServer
from tests.support.sources import ROOT, project_files
from tools.embedded.ports import ensure_free, free_ports

# The files that list all services; the rest of a service is in its own files.
LISTS = {
    *(".env.example", "docker-compose.yml", "infra/postgres/databases.sql", "pyproject.toml"),
    "infra/prometheus/prometheus.yaml",
    *(
        "README.md",
        "README.ko.md",
        "docs/reference/catalog.json",
        "docs/reference/catalog.md",
        "docs/reference/catalog.svg",
        "docs/reference/events.md",
        "docs/reference/settings.md",
    ),
}
SERVICES = {
    "parcels": ["--events", "order.confirmed"],
    "billing": ["--events", "order.placed,order.cancelled", "--publishes", "billing.charged"],
}
NOT_COMPARED = {".git", ".venv", ".ruff_cache", "__pycache__"}
# The rules that a new service could break. The others are about files that it leaves as they are.
RULES = (
    "tests/architecture",
    *(
        f"--deselect=tests/architecture/test_{name}"
        for name in (
            *("comparisons", "docs_commands", "faults", "missed_goals", "mutants"),
            "start_imports.py::test_a_service_imports_only_what_it_needs",
        )
    ),
    "tests/contract/test_asyncapi.py",
    *(
        f"tests/unit/test_{name}.py"
        for name in (*("templates", "manifest", "compose_file", "images", "development_files", "declared_services"),)
    ),
)

INVALID: list[tuple[list[str], str]] = [
    (["billing", "--events", "order.placed"], "services/billing exists already"),
    (["Billing", "--events", "order.placed"], "invalid NAME 'Billing'"),
    (["relay", "--events", "order.placed"], "invalid NAME 'relay'"),
    (["audit", "--events", "order.paced"], "did you mean 'order.placed'"),
    (["audit"], "EVENTS is empty"),
    (["audit", "--events", "order.placed,notification.sent"], "EVENTS belong to"),
    (["audit", "--events", "order.placed", "--publishes", "order.paid"], "the form is audit.done"),
    # Nothing that exists is overwritten.
    (
        ["orders", "--events", "order.placed", "--publishes", "orders.archived"],
        "a database with this name",
    ),
    (["mailpit", "--events", "order.placed"], "docker-compose.yml contains a service mailpit"),
    (["lanes", "--events", "order.placed"], "tests/integration/test_lanes.py exists already"),
    (["select", "--events", "order.placed"], "reserved word of Python, Postgres or the project"),
    (["class", "--events", "order.placed"], "reserved word of Python, Postgres or the project"),
    (["event", "--events", "order.placed"], "a class of the service would have the name Event"),
    (["audit", "--events", "order.placed", "--publishes", "audit.event"], "would be the base class of the events"),
]
RUN_EACH = """
import contextlib, io, json, sys
from tools.scaffold.main import run
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        status = run(arguments)
    print(json.dumps([status, printed.getvalue()]))
"""

COMMAND_SECONDS = 240
"""The rules and the type check take a minute, and longer on a busy machine."""

pytestmark = pytest.mark.timeout(300)


class Copy:
    """A copy of the project for changes, with an interpreter that imports its own library."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.interpreter = _environment(folder)
        for path in project_files():
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        self.before = self.files()

    def run(self, *command: str, input: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed; a failure shows its output."""
        done = self.attempt(*command, input=input, **environment)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done

    def attempt(self, *command: str, input: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        found = {**os.environ, **environment}
        return subprocess.run(
            command, cwd=self.folder, env=found, input=input, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )

    def python(self, module: str, *arguments: str, **environment: str) -> str:
        return self.run(self.interpreter, "-m", module, *arguments, **environment).stdout

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.folder.rglob("*") if path.is_file() and not NOT_COMPARED & set(path.parts))
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}

    def written(self) -> tuple[set[str], set[str]]:
        """The new files and the changed files."""
        after = self.files()
        changed = {name for name, content in self.before.items() if after.get(name) != content}
        return set(after) - set(self.before), changed


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    copy = Copy(tmp_path_factory.mktemp("project"))
    for name, options in SERVICES.items():
        copy.python("tools.scaffold.main", name, *options)
    return copy


def sources(copied: Copy) -> list[str]:
    return sorted(name for name in copied.written()[0] if name.endswith(".py"))


def test_other_services_are_not_changed(copied: Copy) -> None:
    new, changed = copied.written()
    assert changed == LISTS
    assert {name.rpartition("/")[0] for name in new} == {
        "docs/reference/schemas/billing.charged",
        "infra/templates",
        "shared/event_trio/contracts",
        "tests/integration",
        *(f"services/{name}{folder}" for name in SERVICES for folder in ("", "/migrations", "/migrations/versions")),
    }


def test_the_code_passes_lint_types_and_import_contracts(copied: Copy) -> None:
    new = sources(copied)
    copied.python("ruff", "check", *new)
    copied.python("ruff", "format", "--check", *new)
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    lints = copied.run(copied.interpreter, "-c", lint).stdout
    for name in SERVICES:
        assert f"Inside the {name} service KEPT" in lints
    packages = [f"services/{name}" for name in SERVICES] + [name for name in new if name.startswith("tests/")]
    # Only errors in the new files count; the other files are checked elsewhere.
    typed = copied.attempt(copied.interpreter, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache"), *packages)
    errors = [line for line in typed.stdout.splitlines() if line.partition(":")[0] in new]
    assert errors == []
    assert "source files" in typed.stdout, typed.stdout + typed.stderr


def test_its_templates_are_valid(copied: Copy) -> None:
    new = sorted(name for name in copied.written()[0] if name.startswith("infra/templates/"))
    assert [Path(name).stem for name in new] == [
        "access-billing",
        "access-parcels",
        "billing-events-publish-check",
        "billing-events",
        "billing-order-events",
        "parcels-order-events",
    ]
    copied.run(str(Path(sys.executable).with_name("cfn-lint")), *new)


def test_the_rules_of_the_project_hold(copied: Copy) -> None:
    pytest_in(copied, RULES)
    page = (copied.folder / "docs/reference/events.md").read_text(encoding="utf-8")
    assert "### `billing.charged`" in page
    catalog = (copied.folder / "docs/reference/catalog.md").read_text(encoding="utf-8")
    assert "| `billing-order-events.fifo` | `order-events.fifo` | billing |" in catalog
    assert "| `billing.charged` | [1](schemas/billing.charged/1.json) | billing | `billing-events.fifo` |" in catalog
    assert "handled by the billing service and the notification service" in page


def test_it_receives_events_and_publishes_its_own(copied: Copy, postgres: PostgresServer, aws: Aws) -> None:
    servers = {"TEST_DATABASE_URL": postgres.admin_url, "TEST_AWS_ENDPOINT_URL": str(aws.endpoint_url)}
    pytest_in(copied, [f"tests/integration/test_{name}.py" for name in SERVICES], **servers)


def test_the_demo_starts_it_with_the_others_and_exits_when_every_order_was_notified(copied: Copy) -> None:
    (copied.folder / ".venv-localstack").symlink_to(ROOT / ".venv-localstack")
    relays = ("ORDER_RELAY", "NOTIFICATION_RELAY", "BILLING_RELAY", "POSTGRES", "LOCALSTACK")
    services = ("ORDER", "NOTIFICATION", "CONSOLE", "PARCELS", "BILLING")
    names = [f"DEMO_{name}_PORT" for name in (*services, *relays)]
    ports = {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}
    # Not pytest's tmp_path, which only its owner may enter: as root, Postgres runs as another user.
    with TemporaryDirectory(prefix="event-trio-demo-") as folder:
        Path(folder).chmod(0o755)
        try:
            demo = ["--exit", "--orders", "3", "--folder", f"{folder}/run"]
            output = copied.python("tools.demo.main", *demo, **ports)
        finally:
            (copied.folder / ".venv-localstack").unlink()
    assert output.startswith(f"The console: http://127.0.0.1:{ports['DEMO_CONSOLE_PORT']}\n")
    assert "all 11 orders were notified to their customers" in output
    assert "recorded to processed: p50" in output
    for name in ("ORDER", "PARCELS", "BILLING", "BILLING_RELAY"):
        assert f"http://127.0.0.1:{ports[f'DEMO_{name}_PORT']}/docs" in output
    for name, port in ports.items():
        ensure_free(int(port), name, name)


def test_an_invalid_request_is_rejected(copied: Copy) -> None:
    """All in one process, because its start takes longer than a request."""
    before = copied.files()
    requests = json.dumps([arguments for arguments, _ in INVALID])
    answers = copied.run(copied.interpreter, "-c", RUN_EACH, input=requests).stdout.splitlines()
    for answer, (arguments, message) in zip(answers, INVALID, strict=True):
        status, printed = json.loads(answer)
        assert (status, message in printed) == (1, True), (arguments, message, printed)
    assert copied.files() == before


def _environment(folder: Path) -> str:
    """Create a virtual environment with the packages of this one, except the library, and return its interpreter."""
    environment = folder / ".venv"
    venv.EnvBuilder(symlinks=True).create(environment)
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "project.pth").write_text(f"{folder / 'shared'}\n{sysconfig.get_path('purelib')}\n")
    return str(environment / "bin" / "python")


def pytest_in(copied: Copy, paths: Sequence[str], **environment: str) -> None:
    copied.python("pytest", "-q", "-p", "no:cacheprovider", *paths, **environment)
