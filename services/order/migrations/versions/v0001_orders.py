"""Orders, their lines and history, the outbox, and the roles with the grants that they need."""

from __future__ import annotations

from alembic import op

from event_trio.database.roles import close_to_others, create_login_role
from event_trio.outbox.schema import STATEMENTS_V1, grants

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

API = "order_api"
RELAY = "order_relay"

TABLES = (
    """
    CREATE TABLE orders (
        id uuid PRIMARY KEY,
        customer_id text NOT NULL,
        recipient text NOT NULL,
        locale text NOT NULL,
        currency text NOT NULL,
        state text NOT NULL CHECK (state IN ('placed', 'confirmed', 'shipped', 'delivered', 'cancelled', 'held')),
        held_from text CHECK (held_from IN ('placed', 'confirmed')),
        version integer NOT NULL CHECK (version > 0),
        placed_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CHECK ((state = 'held') = (held_from IS NOT NULL))
    )
    """,
    "CREATE INDEX orders_newest ON orders (placed_at DESC, id DESC)",
    "CREATE INDEX orders_customer ON orders (customer_id, placed_at DESC, id DESC)",
    "CREATE INDEX orders_state ON orders (state, placed_at DESC, id DESC)",
    """
    CREATE TABLE order_line (
        order_id uuid NOT NULL REFERENCES orders (id),
        position integer NOT NULL CHECK (position > 0),
        sku text NOT NULL,
        quantity integer NOT NULL CHECK (quantity > 0),
        unit_price numeric(18, 4) NOT NULL CHECK (unit_price >= 0),
        PRIMARY KEY (order_id, position)
    )
    """,
    """
    CREATE TABLE order_history (
        order_id uuid NOT NULL REFERENCES orders (id),
        version integer NOT NULL CHECK (version > 0),
        state text NOT NULL,
        event_id uuid NOT NULL UNIQUE,
        type text NOT NULL,
        data jsonb NOT NULL,
        correlation_id text NOT NULL,
        occurred_at timestamptz NOT NULL,
        PRIMARY KEY (order_id, version)
    )
    """,
)

GRANTS = (
    f"GRANT SELECT, INSERT, UPDATE (state, held_from, version, updated_at) ON orders TO {API}",
    f"GRANT SELECT, INSERT ON order_line, order_history TO {API}",
    f"GRANT SELECT ON alembic_version TO {API}, {RELAY}",
)


def upgrade() -> None:
    """Create everything."""
    roles = (create_login_role(API), create_login_role(RELAY), *close_to_others(API, RELAY))
    for statement in (*roles, *TABLES, *STATEMENTS_V1, *GRANTS, *grants(writer=API, relay=RELAY)):
        op.execute(statement)
