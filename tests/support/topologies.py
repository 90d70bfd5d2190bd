"""A topology of its own for every test: the project's templates, deployed under a prefix that nobody else uses."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames


@asynccontextmanager
async def deployed(aws: Aws) -> AsyncIterator[BrokerNames]:
    """Deploy all templates, and delete the stacks at the end."""
    from infra.deploy import delete, deploy  # only tests that ask for a topology need CloudFormation's client

    prefix = f"t{secrets.token_hex(4)}-"
    try:
        await deploy(aws, prefix=prefix)
        yield BrokerNames(prefix)
    finally:
        await delete(aws, prefix=prefix)
