"""RabbitMQ: a publisher, a source and the topology of a topic. The extra `rabbitmq` installs the client.

A topic is a topic exchange; the routing key of an event is `<partition>.<type>`, and the partition is that of its
message group. A subscriber has one durable queue for each partition, with a single active consumer: the broker gives
the messages of a partition to one process at a time, in order, and those that it did not acknowledge to the next one
first.
"""

from ...extras import requires

with requires("rabbitmq"):
    from .publisher import RabbitPublisher
    from .relaying import open_broker
    from .source import RabbitSource
    from .topology import create_topic, subscribe

__all__ = ["RabbitPublisher", "RabbitSource", "create_topic", "open_broker", "subscribe"]
