"""For the tests of programs that use the library: a queue in memory, a clock, a topology on LocalStack."""

from ..extras import requires

with requires("testing"):
    from .broker import Topology, create_topology
    from .clock import FakeClock
    from .memory_queue import MemoryQueue
    from .queue_suite import Publish, QueueSuite

__all__ = ["FakeClock", "MemoryQueue", "Publish", "QueueSuite", "Topology", "create_topology"]
