"""SQL statements and AWS calls are in named modules only: held by what is written, imported and called."""

import ast
import re
from collections.abc import Collection
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from tests.support.sources import dotted, executed_at_import, named, nodes, parse, python_files

SQL_MODULES = (
    "shared/event_trio/outbox/*.py",
    "shared/event_trio/inbox/*.py",
    "shared/event_trio/idempotency/*.py",
    "shared/event_trio/database/connections.py",
    "shared/event_trio/database/probe.py",
    "shared/event_trio/database/direct.py",
    "shared/event_trio/database/migration.py",
    "shared/event_trio/database/roles.py",
    "shared/event_trio/database/session_limits.py",
    "shared/event_trio/database/table_sets.py",
    "shared/event_trio/consumer/database_breaker.py",  # the same, before it lets the consumer go on
    "shared/examples/*.py",
    "services/*/repository.py",
    "services/order/insertion.py",
    "services/order/reports.py",
    "services/*/tables.py",
    "services/*/migrations/*.py",
    # The relay is made of SQL; each of its loops has its own statements.
    "services/relay/group_sql.py",
    "services/relay/audit_log.py",
    "services/relay/publishing/outbox_reader.py",
    "services/relay/publishing/outbox_updates.py",
    "services/relay/confirmation/unconfirmed.py",
    "services/relay/confirmation/probes.py",
    "services/relay/confirmation/control_monitor.py",
    "services/relay/confirmation/broker_identity.py",
    "services/relay/leases/lanes.py",
    "services/relay/leases/listener.py",
    "services/relay/wal/slots.py",
    "services/relay/wal/replication.py",
    "services/relay/wal/lane_notifier.py",
    "services/relay/operators/holds.py",
    "services/relay/operators/operations.py",
    "services/relay/operators/overview.py",
    "services/relay/operators/message_groups.py",
    "services/relay/operators/audit_history.py",
    "services/relay/operators/broker_acceptance.py",
    "services/relay/operators/replay_operations.py",
    "services/relay/jobs/event_pruner.py",
    "services/relay/jobs/audit_pruner.py",
    "services/relay/jobs/gauge.py",
    "services/relay/jobs/holds.py",
    "services/relay/jobs/releases.py",
    "services/relay/jobs/replays.py",
    "services/relay/jobs/replay_requests.py",
    "services/relay/jobs/replay_walks.py",
)
AWS_MODULES = (
    "shared/event_trio/broker/aws.py",
    "shared/event_trio/broker/aws_session.py",
    "shared/event_trio/broker/lean/client.py",
    "shared/event_trio/broker/lean/operation.py",
    "shared/event_trio/broker/lean/transport.py",
    "shared/event_trio/broker/queue.py",
    "shared/event_trio/broker/subscription.py",
    "shared/event_trio/broker/topology.py",
    "shared/event_trio/testing/broker.py",  # creates a topology for tests
    "services/relay/publishing/publisher.py",
)

STATEMENT = re.compile(
    r"^\s*(SELECT|INSERT INTO|UPDATE \w+ |DELETE FROM|WITH \w+ |CREATE (TABLE|INDEX|ROLE)|ALTER |GRANT |DO \$)",
    re.MULTILINE,  # a statement may open with its name and purpose in a comment
)
BUILDERS = {"select", "insert", "update", "delete", "text"}
AWS_LIBRARIES = {"boto3", "botocore", "aioboto3", "aiobotocore"}
AWS_SERVICES = ("sns", "sqs", "sts", "cloudformation")
# The methods of asyncpg's and SQLAlchemy's connections and sessions that send a statement.
EXECUTORS = {
    *("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany", "scalar", "scalars", "stream"),
    *("stream_scalars", "exec_driver_sql", "copy_records_to_table", "copy_to_table", "cursor", "add_listener"),
}
OTHERS, MESSAGING = ("jetstream", "rabbitmq"), ("publish", "subscribe", "unsubscribe")
# Methods of the same names that belong to something else: a mail client, templates, the relay's publisher.
UNRELATED = {
    ("services/notification/senders/*.py", "send_message"),
    ("services/notification/*.py", "get_template"),
    ("services/console/web/*.py", "get_template"),
    ("services/relay/publishing/*.py", "publish"),
    *((f"shared/event_trio/broker/{other}/*.py", name) for other in OTHERS for name in MESSAGING),
    ("shared/event_trio/testing/publisher_suite.py", "publish"),
}


def test_sql_is_in_its_modules() -> None:
    outside = [path for path in python_files("shared", "services") if not _is_in(path, SQL_MODULES)]
    assert [f"{named(path)}:{line}" for path in outside for line in _sql_lines(parse(path))] == []


def test_aws_is_imported_in_its_modules() -> None:
    outside = [path for path in python_files("shared", "services") if not _is_in(path, AWS_MODULES)]
    imports = [(named(path), name) for path in outside for name in _imported(parse(path))]
    assert [(path, name) for path, name in imports if name.split(".")[0] in AWS_LIBRARIES] == []


def test_statements_are_sent_from_their_modules() -> None:
    outside = [path for path in python_files("shared", "services") if not _is_in(path, SQL_MODULES)]
    assert [f"{named(path)}:{line}: {name}" for path in outside for name, line in _sent(path, EXECUTORS)] == []


def test_aws_is_called_from_its_modules() -> None:
    outside = [path for path in python_files("shared", "services") if not _is_in(path, AWS_MODULES)]
    assert [f"{named(path)}:{line}: {name}" for path in outside for name, line in _sent(path, _operations())] == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("await client.publish_batch(TopicArn=topic)", ["client.publish_batch"]),
        ("await self._client.receive_message()", ["self._client.receive_message"]),
        ("publish(event)", []),
        ("client.receive_message", []),
    ],
)
def test_the_rule_sees_calls_of_aws(source: str, names: list[str]) -> None:
    assert [name for name, _ in _calls(ast.parse(source), _operations())] == names


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("await connection.fetchrow(STATEMENT)", ["connection.fetchrow"]),
        ("await session.execute(statement)", ["session.execute"]),
        ("await (await pool.acquire()).fetch(STATEMENT)", ["fetch"]),
        ("await fetch(url)", []),
    ],
)
def test_the_rule_sees_statements_that_are_sent(source: str, names: list[str]) -> None:
    assert [name for name, _ in _calls(ast.parse(source), EXECUTORS)] == names


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


def test_every_named_module_exists() -> None:
    names = [named(path) for path in python_files()]
    assert [module for module in (*SQL_MODULES, *AWS_MODULES) if not any(fnmatch(name, module) for name in names)] == []


def _sql_lines(module: ast.Module) -> list[int]:
    lines = []
    for node in nodes(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.search(node.value):
            lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"sqlalchemy", "sqlmodel"}:
            lines += [node.lineno for alias in node.names if alias.name in BUILDERS]
    return lines


@cache
def _operations() -> frozenset[str]:
    """The methods of a client that call AWS, as botocore names them."""
    session = botocore.session.get_session()
    models = (session.get_service_model(service) for service in AWS_SERVICES)
    return frozenset(xform_name(operation) for model in models for operation in model.operation_names)


def _sent(path: Path, methods: Collection[str]) -> list[tuple[str, int]]:
    """The calls of such methods in a file, without those that are known to be something else."""
    unrelated = {method for pattern, method in UNRELATED if fnmatch(named(path), pattern)}
    return _calls(parse(path), set(methods) - unrelated)


def _calls(module: ast.Module, methods: Collection[str]) -> list[tuple[str, int]]:
    """The calls of such methods, with their lines. A call of a function is not a call of a method."""
    return [
        (dotted(node.func) or node.func.attr, node.lineno)
        for node in nodes(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods
    ]


def _imported(module: ast.Module) -> list[str]:
    names = []
    for node in executed_at_import(module):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
    return names


def _is_in(path: Path, modules: tuple[str, ...]) -> bool:
    return any(fnmatch(named(path), module) for module in modules)
