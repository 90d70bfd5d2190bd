"""Deferred messages, written into a service's database as if its handler had failed."""


def three_letters(consumer: str) -> tuple[str, ...]:
    """The statements that make the dead letters `e-1`, `e-2` and `e-3`, each of a group of its own."""
    return letters(consumer, 3)


def letters(consumer: str, count: int) -> tuple[str, ...]:
    """The statements that make so many dead letters, each of a group of its own."""
    return (
        f"""
        INSERT INTO processed_message (consumer, event_id, message_id, outcome)
        SELECT '{consumer}', 'e-' || n, 'm', 'dead_letter' FROM generate_series(1, {count}) n
        """,
        """
        INSERT INTO deferred_message (consumer, event_id, message_id, message_group, status, reason, envelope)
        SELECT consumer, event_id, message_id, event_id, 'dead', 'failed', '' FROM processed_message
        ORDER BY substr(event_id, 3)::int
        """,
    )


def waiting(consumer: str) -> tuple[str, ...]:
    """The statements that put messages state: `a-1` waits for an hour, with `a-2` and `a-3` behind; `b-1` waits, and
    later events of its group pass; `c-1` is a dead letter that holds its group, with `c-2` behind.
    """
    rows = (
        ("a-1", "a", "waiting", "order.placed", "failed", 2, True),
        ("a-2", "a", "blocked", "order.confirmed", "blocked", 0, True),
        ("a-3", "a", "blocked", "order.shipped", "blocked", 0, True),
        ("b-1", "b", "waiting", "order.placed", "outage", 0, False),
        ("c-1", "c", "dead", "order.placed", "failed", 3, True),
        ("c-2", "c", "blocked", "order.confirmed", "blocked", 0, True),
    )
    statements = []
    for event, group, status, kind, reason, attempts, blocks in rows:
        outcome = "dead_letter" if status == "dead" else "deferred"
        due = "now() + interval '1 hour'" if status == "waiting" else "NULL"
        statements += [
            f"""
            INSERT INTO processed_message (consumer, event_id, message_id, outcome)
            VALUES ('{consumer}', '{event}', 'm', '{outcome}')
            """,
            f"""
            INSERT INTO deferred_message (consumer, event_id, message_id, message_group, status, type, reason, error,
                                          attempts, blocks, due_at, envelope)
            VALUES ('{consumer}', '{event}', 'm', '{group}', '{status}', '{kind}', '{reason}', 'because', {attempts},
                    {blocks}, {due}, '{{}}')
            """,
        ]
    return tuple(statements)
