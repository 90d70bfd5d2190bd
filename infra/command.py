"""What the commands for the topology share: options for the location, and error messages."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Coroutine
from typing import TypeVar

from botocore.exceptions import NoCredentialsError

from event_trio.broker.aws import BROKER_FAULTS, Aws, ensure_usable, error_code
from event_trio.errors import ConfigurationError, EventTrioError
from event_trio.outbox.limits import LARGEST_BYTES, SMALLEST_BYTES
from event_trio.urls import http_url, is_region

T = TypeVar("T")

BYTES = re.compile(r"[0-9]{1,9}")


def location_options() -> argparse.ArgumentParser:
    """A parent parser with the options for the location of the topology."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--prefix", default=variable("TOPOLOGY_PREFIX") or "", help="prefix of all names")
    parser.add_argument(
        "--endpoint-url",
        type=_endpoint,
        default=variable("AWS_ENDPOINT_URL"),
        help="URL of LocalStack; default: AWS_ENDPOINT_URL, else AWS itself",
    )
    parser.add_argument(
        "--region", type=_region, default=variable("AWS_REGION") or "us-east-1", help="default: %(default)s"
    )
    return parser


def variable(name: str) -> str | None:
    """The value of an environment variable; a blank one counts as unset, as in the services."""
    return os.environ.get(name, "").strip() or None


def message_bytes(text: str) -> int:
    """Parse a message size. Raises ArgumentTypeError."""
    if BYTES.fullmatch(text) and SMALLEST_BYTES <= int(text) <= LARGEST_BYTES:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from {SMALLEST_BYTES} to {LARGEST_BYTES}")


def run(aws: Aws, work: Coroutine[object, object, T]) -> T:
    """Run the work of a command. Raises SystemExit with status 1, and prints the error, when it fails."""
    try:
        return asyncio.run(_checked(aws, work))
    except EventTrioError as error:
        message = str(error)
    except BROKER_FAULTS as error:
        location = aws.endpoint_url or f"AWS in {aws.region}"
        message = f"a request to {location} failed: {error_code(error)}: {error}"
        if isinstance(error, NoCredentialsError) and aws.endpoint_url is None:
            message += "; for LocalStack, give its address with --endpoint-url or AWS_ENDPOINT_URL"
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1)


async def _checked(aws: Aws, work: Coroutine[object, object, T]) -> T:
    """Raises ConfigurationError before the work starts when the SDK is not usable."""
    try:
        await ensure_usable(aws)
    except ConfigurationError:
        work.close()
        raise
    return await work


def _endpoint(text: str) -> str | None:
    try:
        return http_url(text.strip()) if text.strip() else None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the endpoint URL {error}") from None


def _region(text: str) -> str:
    if not is_region(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a region of AWS, such as us-east-1")
    return text
