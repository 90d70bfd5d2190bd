"""The publication of the outbox, which relays with `SOURCE=wal` read through a replication slot."""

from __future__ import annotations

PUBLICATION = "outbox"
# What tells that an event is to be sent. The envelope is not among them: relays read it in the table.
COLUMNS = ("id", "subject", "sent_at", "published_at", "held_at")

# A publication grants nothing to anybody. Only the owner of the table may create it, with CREATE on the database.
CREATE = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = '{PUBLICATION}') THEN
        CREATE PUBLICATION {PUBLICATION} FOR TABLE outbox_event ({", ".join(COLUMNS)})
        WITH (publish = 'insert, update');
    END IF;
END $$
"""

DROP = f"DROP PUBLICATION IF EXISTS {PUBLICATION}"
