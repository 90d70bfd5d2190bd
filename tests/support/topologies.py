"""A topology for one test: the templates of the project, deployed with a unique prefix."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames


@asynccontextmanager
async def deployed(aws: Aws) -> AsyncIterator[BrokerNames]:
    """Deploy all templates, and delete the stacks at the end."""
    from infra.deploy import delete, deploy  # only tests with a topology need the client of CloudFormation

    prefix = f"t{secrets.token_hex(4)}-"
    try:
        await deploy(aws, prefix=prefix)
        yield BrokerNames(prefix)
    finally:
        await delete(aws, prefix=prefix)
