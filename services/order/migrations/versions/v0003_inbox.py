"""The inbox, and reports of other services about orders."""

from __future__ import annotations

from alembic import op

from event_trio.inbox.schema import STATEMENTS_V1, STATEMENTS_V2, grants, grants_v2

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

API = "order_api"

REPORTS = (
    # The part of the order's history that is not a change of the order, so it has no version.
    """
    CREATE TABLE order_report (
        event_id uuid PRIMARY KEY,
        order_id uuid NOT NULL REFERENCES orders (id),
        type text NOT NULL,
        cause_type text NOT NULL,
        reason text NOT NULL,
        compensation text NOT NULL CHECK (compensation IN ('none', 'hold', 'cancel')),
        occurred_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX order_report_order ON order_report (order_id, occurred_at, event_id)",
    f"GRANT SELECT, INSERT ON order_report TO {API}",
)


def upgrade() -> None:
    """Create the inbox and the reports."""
    for statement in (*STATEMENTS_V1, *STATEMENTS_V2, *grants(API), *grants_v2(API), *REPORTS):
        op.execute(statement)
