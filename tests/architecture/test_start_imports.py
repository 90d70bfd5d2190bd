"""What a process imports before it serves: the modules, which do not vary with the machine as seconds do."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sources import ROOT

# What only some processes use, or only commands: imported where it is used.
UNUSED = {
    "order": {"alembic", "mako", "cryptography", "jwt", "jinja2", "aiosmtplib"},
    "notification": {"alembic", "mako", "cryptography", "jwt"},
    "relay": {"alembic", "mako", "cryptography", "jwt", "sqlalchemy", "sqlmodel"},
}
# A few per cent above what was counted. Packages of the development environment are imported only because they are
# there: structlog and httpx look for Rich.
MOST_MODULES = {"order": 1300, "notification": 1330, "relay": 1120}
DEVELOPMENT = {"rich", "pygments", "markdown_it", "mdurl", "attr", "attrs"}

PRINT_MODULES = "import gc, sys; gc.disable(); import services.{service}.main; print(*sys.modules)"


@pytest.mark.parametrize("service", sorted(UNUSED))
def test_a_service_imports_only_what_it_needs(service: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PRINT_MODULES.format(service=service)], capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    modules = [name for name in ran.stdout.split() if name.partition(".")[0] not in DEVELOPMENT]
    assert UNUSED[service] & {name.partition(".")[0] for name in modules} == set()
    assert len(modules) <= MOST_MODULES[service]


@pytest.mark.parametrize("path", sorted((ROOT / "services").glob("*/main.py")), ids=lambda path: path.parent.name)
def test_a_service_collects_no_garbage_while_it_imports(path: Path) -> None:
    _, future, collector, disabled, *_ = ast.parse(path.read_text(encoding="utf-8")).body
    assert ast.unparse(future) == "from __future__ import annotations"
    assert ast.unparse(collector) == "import gc"
    assert ast.unparse(disabled) == "if __name__ == '__main__':\n    gc.disable()"
