"""NATS JetStream: a publisher, a source and the topology of a topic. The extra `nats` installs the client.

A topic is a stream. A message group belongs to a partition, which is a token of its subject:
`<topic>.<partition>.<type>`. A subscriber has one durable consumer for each partition, with at most one message that is
delivered and not acknowledged. So the server itself keeps a group in order, over any number of processes, and gives an
unacknowledged message again before it gives the next one.
"""

from ...extras import requires

with requires("nats"):
    from .connection import connected
    from .publisher import JetStreamPublisher
    from .relaying import open_broker
    from .source import JetStreamSource
    from .topology import create_topic, subscribe

__all__ = ["JetStreamPublisher", "JetStreamSource", "connected", "create_topic", "open_broker", "subscribe"]
