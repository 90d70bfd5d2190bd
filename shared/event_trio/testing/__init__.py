"""For the tests of programs that use the library: a queue in memory, a clock, a topology on LocalStack."""

from ..extras import requires

with requires("testing"):
    from .broker import Topology, create_topology
    from .clock import FakeClock
    from .memory_queue import MemoryQueue
    from .publisher_suite import SUBSCRIBERS, BrokerControl, OpenSource, PublisherSuite
    from .queue_suite import Publish, QueueSuite

__all__ = [
    "SUBSCRIBERS",
    "BrokerControl",
    "FakeClock",
    "MemoryQueue",
    "OpenSource",
    "Publish",
    "PublisherSuite",
    "QueueSuite",
    "Topology",
    "create_topology",
]
