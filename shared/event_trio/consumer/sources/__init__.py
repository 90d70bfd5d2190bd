"""Where events come from: the queue, the deferred messages and the dead-letter queues."""
