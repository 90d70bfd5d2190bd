"""Creates a topic and its queues on LocalStack: `python -m event_trio.testing shop-events mailer`."""

from __future__ import annotations

import argparse
import asyncio
import sys

from ..broker.aws import Aws
from ..broker.aws_session import region_and_endpoint, targets_aws
from .broker import create_topology


def main() -> int:
    """Create them and print their names; status 2 where AWS_ENDPOINT_URL does not name a LocalStack."""
    parser = argparse.ArgumentParser(prog="python -m event_trio.testing", description=__doc__)
    parser.add_argument("domain", help="what the topic is named after, and TOPIC of the relay: shop-events")
    parser.add_argument("subscriber", help="who reads the queue: mailer")
    arguments = parser.parse_args()
    region, endpoint_url = region_and_endpoint("")
    if targets_aws(endpoint_url):
        sys.stderr.write("error: AWS_ENDPOINT_URL has to name a LocalStack; on AWS deploy topics and queues yourself\n")
        return 2
    made = asyncio.run(create_topology(arguments.domain, arguments.subscriber, aws=Aws(region, endpoint_url)))
    sys.stdout.write(f"topic {made.topic}\nqueue {made.publish_check}\nqueue {made.queue}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
