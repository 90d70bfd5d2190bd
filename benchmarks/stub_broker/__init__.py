"""A stub of SNS FIFO and SQS FIFO over HTTP, in a process of its own: `python -m benchmarks.stub_broker --help`.

It implements the calls that a relay and a consumer make, keeps everything in memory, checks no signature and no
permission, and costs little processor time, so that a benchmark measures the client.
"""
