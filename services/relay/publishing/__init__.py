"""From the outbox to the topic: reads heads of groups, sends full batches, records what was acknowledged."""
