"""Runs a Postgres and a LocalStack for development until Ctrl-C: `python -m tools.embedded.main`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.localstack import EmbeddedLocalStack
from tools.embedded.postgres import EmbeddedPostgres

COMMAND = "make servers ARGS="
RUN_FOLDER = Path(__file__).parents[2] / ".run" / "embedded"


async def serve(postgres_port: int, localstack_port: int) -> None:
    """Start both servers, print their addresses, and stop them on SIGINT or SIGTERM."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    print("starting Postgres and LocalStack ...", file=sys.stderr)
    postgres = EmbeddedPostgres(RUN_FOLDER / "postgres", port=postgres_port, port_variable=f"{COMMAND}--postgres-port")
    localstack = EmbeddedLocalStack(
        RUN_FOLDER / "localstack", port=localstack_port, port_variable=f"{COMMAND}--localstack-port"
    )
    async with postgres, localstack:
        print(f"export TEST_DATABASE_URL={postgres.admin_url}")
        print(f"export TEST_AWS_ENDPOINT_URL={localstack.endpoint_url}", flush=True)
        print("Services and other programs read DATABASE_URL and AWS_ENDPOINT_URL.", file=sys.stderr)
        print("Press Ctrl-C to stop both.", file=sys.stderr)
        await stopping.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.embedded.main", description=__doc__)
    parser.add_argument("--postgres-port", type=int, default=25432)
    parser.add_argument("--localstack-port", type=int, default=24566)
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.postgres_port, options.localstack_port))
    except EmbeddedServerFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
