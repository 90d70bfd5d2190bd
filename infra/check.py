"""Says what of the running topology is not as declared: `python -m infra.check`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from event_trio.broker.aws import BROKER_FAULTS, Aws, error_code
from event_trio.errors import EventTrioError
from event_trio.settings import forget_empty_variables
from infra.deploy import checked, message_bytes, variable, where_options
from infra.drift import differences


def run(arguments: Sequence[str] | None = None) -> int:
    """The command. Its status is 0 when nothing differs, 1 when something does, 2 when it could not look."""
    forget_empty_variables()
    parser = argparse.ArgumentParser(prog="python -m infra.check", description=__doc__, parents=[where_options()])
    parser.add_argument(
        "--message-bytes",
        type=message_bytes,
        default=variable("MESSAGE_BYTES"),
        help="the MESSAGE_BYTES of services and relays, which no topic or queue may be below; default: the variable",
    )
    options = parser.parse_args(arguments)
    aws = Aws(options.region, options.endpoint_url)
    try:
        found = asyncio.run(checked(aws, differences(aws, prefix=options.prefix, message_bytes=options.message_bytes)))
    except EventTrioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BROKER_FAULTS as error:
        where = aws.endpoint_url or f"AWS in {aws.region}"
        print(f"error: {where} cannot be looked at: {error_code(error)}: {error}", file=sys.stderr)
        return 2
    for difference in found:
        print(difference)
    if not found:
        print("the topology is as declared")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(run())
