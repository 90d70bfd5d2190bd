"""Compares the running topology with its templates: `python -m infra.check`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from event_trio.broker.aws import Aws
from event_trio.settings import forget_empty_variables
from infra import command
from infra.drift import differences

DIFFERENT = 3
"""Exit status when something differs. It is not 1, with which Python exits when the module cannot be imported."""


def run(arguments: Sequence[str] | None = None) -> int:
    """The command. Its status is 0 without differences, 1 after an error, 2 after a usage error, 3 with differences."""
    forget_empty_variables()
    parser = argparse.ArgumentParser(
        prog="python -m infra.check",
        description=__doc__,
        epilog="Exit status: 0 no differences, 1 error, 2 usage error, 3 differences.",
        parents=[command.location_options()],
    )
    parser.add_argument(
        "--message-bytes",
        type=command.message_bytes,
        default=command.variable("MESSAGE_BYTES"),
        help="MESSAGE_BYTES of services and relays, which every topic and queue must accept; default: the variable",
    )
    options = parser.parse_args(arguments)
    aws = Aws(options.region, options.endpoint_url)
    found = command.run(aws, differences(aws, prefix=options.prefix, message_bytes=options.message_bytes))
    for difference in found:
        print(difference)
    if not found:
        print("the topology matches its templates")
    return DIFFERENT if found else 0


if __name__ == "__main__":
    raise SystemExit(run())
