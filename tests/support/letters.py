"""Dead letters, put into a service's database as if its handler had failed."""


def three_letters(consumer: str) -> tuple[str, ...]:
    """The statements that make the dead letters `e-1`, `e-2` and `e-3`, each of a group of its own."""
    return (
        f"""
        INSERT INTO processed_message (consumer, event_id, message_id, outcome)
        SELECT '{consumer}', 'e-' || n, 'm', 'dead_letter' FROM generate_series(1, 3) n
        """,
        """
        INSERT INTO deferred_message (consumer, event_id, message_id, message_group, status, reason, envelope)
        SELECT consumer, event_id, message_id, event_id, 'dead', 'failed', '' FROM processed_message ORDER BY event_id
        """,
    )
