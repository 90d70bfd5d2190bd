"""An extra installs what its package imports, and a missing extra is named."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"nats-py": "nats", "pyjwt": "jwt", "uuid-utils": "uuid_utils"}

# The packages that the library's own modules import at their top level. Other packages import more where it is there.
IMPORTED = """
import ast, sys, event_trio.{package}
for module in [module for name, module in sys.modules.items() if name.startswith("event_trio")]:
    for node in ast.parse(open(module.__file__, encoding="utf-8").read()).body:
        names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
        print(*(name.partition(".")[0] for name in names))
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import gc; gc.disable()\n{program}"], capture_output=True, text=True, timeout=110
    )


def modules(requirements: list[str]) -> set[str]:
    """The modules of requirements such as `pyjwt[crypto]>=2.15`."""
    names = {requirement.partition(">")[0].partition("[")[0] for requirement in requirements}
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


@pytest.mark.parametrize(
    ("package", "missing", "extra"),
    [
        ("event_trio.consumer", "prometheus_client", "consumer"),
        ("event_trio.consumer", "aioboto3", "consumer"),
        ("event_trio.inbox", "asyncpg", "consumer"),
        ("event_trio.outbox", "asyncpg", "outbox"),
        ("event_trio.testing", "aioboto3", "testing"),
        ("event_trio.broker.jetstream", "nats", "nats"),
        ("event_trio.broker.rabbitmq", "aio_pika", "rabbitmq"),
    ],
)
def test_a_missing_extra_is_named(package: str, missing: str, extra: str) -> None:
    ran = run(f"import sys; sys.modules[{missing!r}] = None; import {package}")
    assert ran.returncode == 1
    assert f"ImportError: {missing} is not installed" in ran.stderr
    assert f'pip install "event-trio[{extra}]"' in ran.stderr


@pytest.mark.parametrize(
    ("package", "extra"),
    [
        ("outbox", "outbox"),
        ("consumer", "consumer"),
        ("testing", "testing"),
        ("broker.jetstream", "nats"),
        ("broker.rabbitmq", "rabbitmq"),
        ("observability.logging", "observability"),
        ("observability.metrics", "observability"),
        ("observability.tracing", "observability"),
        ("observability.request_context", "observability"),
    ],
)
def test_an_extra_installs_what_its_package_imports(package: str, extra: str) -> None:
    library = tomllib.loads((ROOT / "shared/pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = library["optional-dependencies"]
    known = set().union(*(modules(requirements) for requirements in extras.values()))
    ran = run(IMPORTED.format(package=package))
    assert ran.returncode == 0, ran.stderr
    assert known & set(ran.stdout.split()) <= modules(extras[extra]) | modules(library["dependencies"])
