"""The transactional outbox: its tables, a writer that never commits, and a notifier that wakes the relay."""

from ..extras import requires

with requires("outbox"):
    from ..contracts.payload import EventPayload
    from ..errors import EventRejected
    from .install import install_tables
    from .notifier import OutboxNotifier
    from .writer import EventRow, OutboxWriter

__all__ = ["EventPayload", "EventRejected", "EventRow", "OutboxNotifier", "OutboxWriter", "install_tables"]
