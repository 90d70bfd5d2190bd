"""SQL and AWS calls live in named rooms only."""

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.sources import executed_at_import, named, parse, python_files

SQL_ROOMS = (
    "shared/event_trio/outbox/*.py",
    "shared/event_trio/inbox/*.py",
    "shared/event_trio/idempotency/*.py",
    "shared/event_trio/database/connections.py",
    "shared/event_trio/database/probe.py",
    "shared/event_trio/database/migration.py",
    "shared/event_trio/database/roles.py",
    "shared/event_trio/consumer/database_breaker.py",  # the same, before it lets the consumer go on
    "services/*/repository.py",
    "services/order/reports.py",
    "services/*/tables.py",
    "services/*/migrations/*.py",
    # The relay is made of SQL; each of its loops has its own statements.
    "services/relay/publishing/outbox_reader.py",
    "services/relay/publishing/barriers.py",
    "services/relay/publishing/outbox_updates.py",
    "services/relay/confirmation/unconfirmed.py",
    "services/relay/confirmation/probes.py",
    "services/relay/confirmation/control_watch.py",
    "services/relay/confirmation/broker_identity.py",
    "services/relay/leases/lanes.py",
    "services/relay/leases/listener.py",
    "services/relay/operators/holds.py",
    "services/relay/operators/replays.py",
    "services/relay/operators/replay_walks.py",
    "services/relay/operators/operations.py",
    "services/relay/operators/releases.py",
    "services/relay/operators/overview.py",
    "services/relay/operators/groups.py",
    "services/relay/operators/audit.py",
    "services/relay/operators/brokers.py",
    "services/relay/jobs/pruner.py",
    "services/relay/jobs/audit_pruner.py",
    "services/relay/jobs/gauge.py",
)
AWS_ROOMS = (
    "shared/event_trio/broker/aws.py",
    "shared/event_trio/broker/aws_session.py",
    "shared/event_trio/broker/queue.py",
    "services/relay/publishing/publisher.py",
)

STATEMENT = re.compile(
    r"^\s*(SELECT|INSERT INTO|UPDATE \w+ |DELETE FROM|WITH \w+ |CREATE (TABLE|INDEX|ROLE)|ALTER |GRANT |DO \$)",
    re.MULTILINE,  # a statement may open with its name and purpose in a comment
)
BUILDERS = {"select", "insert", "update", "delete", "text"}
AWS_LIBRARIES = {"boto3", "botocore", "aioboto3", "aiobotocore"}


def test_sql_is_in_its_rooms() -> None:
    outside = [path for path in python_files("shared", "services") if not _is_in(path, SQL_ROOMS)]
    assert [f"{named(path)}:{line}" for path in outside for line in _sql_lines(parse(path))] == []


def test_aws_is_in_its_rooms() -> None:
    outside = [path for path in python_files("shared", "services") if not _is_in(path, AWS_ROOMS)]
    imports = [(named(path), name) for path in outside for name in _imported(parse(path))]
    assert [(path, name) for path, name in imports if name.split(".")[0] in AWS_LIBRARIES] == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("await pool.fetch('SELECT 1')", 1),
        ('STATEMENT = f"""\n    UPDATE outbox_event SET x = {y}"""', 1),
        ("from sqlalchemy import select", 1),
        ('CLAIM = """-- claim: takes a lane\nUPDATE outbox_lane SET owner = $1"""', 1),
        ('"""Select an order."""', 0),
        ("from sqlalchemy.ext.asyncio import AsyncSession", 0),
    ],
)
def test_the_rule_sees_sql(source: str, count: int) -> None:
    assert len(_sql_lines(ast.parse(source))) == count


def test_every_room_exists() -> None:
    names = [named(path) for path in python_files()]
    assert [room for room in (*SQL_ROOMS, *AWS_ROOMS) if not any(fnmatch(name, room) for name in names)] == []


def _sql_lines(module: ast.Module) -> list[int]:
    lines = []
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.search(node.value):
            lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"sqlalchemy", "sqlmodel"}:
            lines += [node.lineno for alias in node.names if alias.name in BUILDERS]
    return lines


def _imported(module: ast.Module) -> list[str]:
    names = []
    for node in executed_at_import(module):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
    return names


def _is_in(path: Path, rooms: tuple[str, ...]) -> bool:
    return any(fnmatch(named(path), room) for room in rooms)
