"""The library's tables as Alembic operations.

In a migration, after `import event_trio.migrations`: `op.install_outbox_tables()`, `op.install_inbox_tables()`,
`op.install_idempotency_tables()`; or the functions of this module with `op.get_bind()`, which a type checker knows.
After an upgrade of the library a new migration calls the same operation again.
"""

from __future__ import annotations

from alembic.operations import MigrateOperation, Operations
from sqlalchemy import Connection

from .database.table_sets import Steps, run
from .idempotency import install as idempotency
from .inbox import install as inbox
from .outbox import install as outbox

__all__ = ["install_idempotency_tables", "install_inbox_tables", "install_outbox_tables"]


def install_outbox_tables(
    connection: Connection, *, writer: str | None = None, relay: str | None = None, version: int | None = None
) -> int:
    """As `event_trio.outbox.install_tables`, on a synchronous connection."""
    return run(connection, outbox.TABLES.steps(outbox.grants(writer, relay), version=version))


def install_inbox_tables(connection: Connection, *, role: str | None = None, version: int | None = None) -> int:
    """As `event_trio.inbox.install_tables`, on a synchronous connection."""
    return run(connection, inbox.TABLES.steps(inbox.grants(role), version=version))


def install_idempotency_tables(connection: Connection, *, role: str | None = None, version: int | None = None) -> int:
    """As `event_trio.idempotency.install_tables`, on a synchronous connection."""
    return run(connection, idempotency.TABLES.steps(idempotency.grants(role), version=version))


@Operations.register_operation("install_outbox_tables", "outbox")
@Operations.register_operation("install_inbox_tables", "inbox")
@Operations.register_operation("install_idempotency_tables", "idempotency")
class InstallTables(MigrateOperation):
    """Brings a set of tables to a version."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    @classmethod
    def outbox(
        cls,
        operations: Operations,
        *,
        writer: str | None = None,
        relay: str | None = None,
        version: int | None = None,
    ) -> None:
        """Install or upgrade the outbox's tables."""
        operations.invoke(cls(outbox.TABLES.steps(outbox.grants(writer, relay), version=version)))

    @classmethod
    def inbox(cls, operations: Operations, *, role: str | None = None, version: int | None = None) -> None:
        """Install or upgrade the inbox's tables."""
        operations.invoke(cls(inbox.TABLES.steps(inbox.grants(role), version=version)))

    @classmethod
    def idempotency(cls, operations: Operations, *, role: str | None = None, version: int | None = None) -> None:
        """Install or upgrade the table of answers."""
        operations.invoke(cls(idempotency.TABLES.steps(idempotency.grants(role), version=version)))


@Operations.implementation_for(InstallTables)
def _install(operations: Operations, operation: InstallTables) -> None:
    run(operations.get_bind(), operation.steps)
