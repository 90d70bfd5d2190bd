"""The one place that makes AWS clients, so that the library behind them is a matter of this file.

Only `client()` is used, never the resource API: there aioboto3 adds nothing to aiobotocore, so that changing over
is a matter of two lines.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from . import aws_session

if TYPE_CHECKING:
    from types_aiobotocore_cloudformation import CloudFormationClient
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

C = TypeVar("C")

CALL_SECONDS = 5.0
"""How long a call may take, whatever keeps it. A receive may take as much longer as it waits for messages."""
# The longest that SQS lets a receive wait (AWS: ReceiveMessage, WaitTimeSeconds).
LONGEST_WAIT_SECONDS = 20
LOCALSTACK_ACCOUNT = "000000000000"


def drain_for(wait_seconds: float) -> float:
    """The least time in which whoever waits so long for messages can end: a second more, or a tenth.

    The last receive must not be cut off, for what it takes would stay invisible.
    """
    return wait_seconds + max(1.0, wait_seconds / 10)


# Everything that a call can raise when the broker, the network or the credentials fail. The last line is for an answer
# that is none, such as a gateway's page with status 200: the SDK's parsers stumble over it in any of these ways.
BROKER_FAULTS: tuple[type[BaseException], ...] = (
    BotoCoreError,
    ClientError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    *(ResponseParserError, LookupError, AttributeError, TypeError, ValueError),
)


@dataclass(frozen=True, slots=True)
class Aws:
    """Where AWS is: a region, and an address when it is LocalStack."""

    region: str = "us-east-1"
    endpoint_url: str | None = None

    @property
    def session(self) -> aioboto3.Session:
        return aws_session.session(self.region, self.endpoint_url)

    @property
    def verify(self) -> bool | None:
        return aws_session.verification(self.endpoint_url)


def sns(
    aws: Aws, *, call_seconds: float = CALL_SECONDS, connections: int = 20
) -> AbstractAsyncContextManager[SNSClient]:
    """A client for SNS whose calls end after `call_seconds`, without retries of its own."""
    config = _config(aws, call_seconds, call_seconds, connections)
    made = aws.session.client("sns", endpoint_url=aws.endpoint_url, verify=aws.verify, config=config)
    return _bounded(made, call_seconds)


def sqs(
    aws: Aws, *, call_seconds: float = CALL_SECONDS, connections: int = 20
) -> AbstractAsyncContextManager[SQSClient]:
    """A client for SQS whose calls end after `call_seconds`, and after the wait for messages with a receive.

    Its read timeout exceeds the longest wait, as AWS asks, so it is no deadline of the other calls.
    """
    config = _config(aws, LONGEST_WAIT_SECONDS + call_seconds, call_seconds, connections)
    made = aws.session.client("sqs", endpoint_url=aws.endpoint_url, verify=aws.verify, config=config)
    return _bounded(made, call_seconds)


def cloudformation(aws: Aws, *, call_seconds: float = 30.0) -> AbstractAsyncContextManager[CloudFormationClient]:
    """A client for CloudFormation."""
    config = _config(aws, call_seconds, CALL_SECONDS, 5)
    made = aws.session.client("cloudformation", endpoint_url=aws.endpoint_url, verify=aws.verify, config=config)
    return _bounded(made, call_seconds)


async def ensure_usable(aws: Aws) -> None:
    """Raise ConfigurationError when the SDK could never make a call: what its own variables and files say is wrong.

    Nothing is called. LocalStack needs no look: the SDK reads none of them for it.
    """
    aws_session.ensure_credentials_match_endpoint(aws.endpoint_url)
    if not aws_session.targets_aws(aws.endpoint_url):
        return
    try:
        aws_session.ensure_certificates()
        async with sqs(aws):
            pass
    except (BotoCoreError, OSError, ValueError) as error:
        raise aws_session.configuration_error(error) from None


async def topic_arn(aws: Aws, name: str, *, call_seconds: float = CALL_SECONDS) -> str:
    """The ARN of a topic of ours, whether or not it exists.

    It says whose we are by asking STS, which needs no permission; LocalStack says so by the key, or has one account.
    """
    if aws.endpoint_url is not None:
        key = os.environ.get("AWS_ACCESS_KEY_ID", "")
        account = key if re.fullmatch(r"\d{12}", key) else LOCALSTACK_ACCOUNT
        return f"arn:aws:sns:{aws.region}:{account}:{name}"
    config = _config(aws, call_seconds, call_seconds, 1)
    made: AbstractAsyncContextManager[Any] = aws.session.client("sts", verify=aws.verify, config=config)
    async with _bounded(made, call_seconds) as client:
        _, partition, _, _, account, _ = (await client.get_caller_identity())["Arn"].split(":", 5)
    return f"arn:{partition}:sns:{aws.region}:{account}:{name}"


def error_code(error: BaseException) -> str:
    """The AWS error code of a failed call, or the name of the exception where AWS gave none."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


@asynccontextmanager
async def _bounded(made: AbstractAsyncContextManager[C], call_seconds: float) -> AsyncIterator[C]:
    """The client with a deadline over the whole of each call: the SDK's timeouts count each read anew, and leave out
    the wait for a connection, the name's resolution and the credentials.
    """
    async with made as client:
        # Every operation comes by here, a paginator's too; the library's types do not mention it.
        bounded: Any = client

        async def call(operation: str, parameters: Mapping[str, Any]) -> Any:
            wait = parameters.get("WaitTimeSeconds", 0) if operation == "ReceiveMessage" else 0
            async with asyncio.timeout(wait + call_seconds):
                return await type(bounded)._make_api_call(bounded, operation, parameters)

        bounded._make_api_call = call
        yield client


def _config(aws: Aws, read_seconds: float, connect_seconds: float, connections: int) -> AioConfig:
    # The SDK's retries are off: order and backoff are decided by who calls, who knows the message group.
    return AioConfig(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        max_pool_connections=connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        **aws_session.options(aws.endpoint_url),
    )
