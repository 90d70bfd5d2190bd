"""The transactional outbox: a table, a writer that never commits, and a doorbell."""
