"""The one place that makes AWS clients, so that the library behind them is a matter of this file.

Only `client()` is used, never the resource API: there aioboto3 adds nothing to aiobotocore, so that changing over
is a matter of two lines.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from types_aiobotocore_cloudformation import CloudFormationClient
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

# The longest that SQS lets a receive wait (AWS: ReceiveMessage, WaitTimeSeconds).
LONGEST_WAIT_SECONDS = 20
LOCALSTACK_ACCOUNT = "000000000000"

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


def sns(aws: Aws, *, call_seconds: float = 5.0, connections: int = 20) -> AbstractAsyncContextManager[SNSClient]:
    """A client for SNS whose calls end after about `call_seconds`, without retries of its own."""
    return _session(aws).client("sns", endpoint_url=aws.endpoint_url, config=_config(call_seconds, connections))


def sqs(aws: Aws, *, call_seconds: float = 5.0, connections: int = 20) -> AbstractAsyncContextManager[SQSClient]:
    """A client for SQS; its read timeout exceeds the longest wait of a receive, as AWS asks."""
    config = _config(LONGEST_WAIT_SECONDS + call_seconds, connections)
    return _session(aws).client("sqs", endpoint_url=aws.endpoint_url, config=config)


def cloudformation(aws: Aws, *, call_seconds: float = 30.0) -> AbstractAsyncContextManager[CloudFormationClient]:
    """A client for CloudFormation."""
    return _session(aws).client("cloudformation", endpoint_url=aws.endpoint_url, config=_config(call_seconds, 5))


async def topic_arn(aws: Aws, name: str, *, call_seconds: float = 5.0) -> str:
    """The ARN of a topic of ours, whether or not it exists.

    It says whose we are by asking STS, which needs no permission; LocalStack says so by the key, or has one account.
    """
    if aws.endpoint_url is not None:
        key = os.environ.get("AWS_ACCESS_KEY_ID", "")
        account = key if re.fullmatch(r"\d{12}", key) else LOCALSTACK_ACCOUNT
        return f"arn:aws:sns:{aws.region}:{account}:{name}"
    made: AbstractAsyncContextManager[Any] = _session(aws).client("sts", config=_config(call_seconds, 1))
    async with made as client:
        _, partition, _, _, account, _ = (await client.get_caller_identity())["Arn"].split(":", 5)
    return f"arn:{partition}:sns:{aws.region}:{account}:{name}"


def error_code(error: BaseException) -> str:
    """The AWS error code of a failed call, or the name of the exception where AWS gave none."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


def _session(aws: Aws) -> aioboto3.Session:
    # LocalStack takes any credentials, but the SDK sends nothing without some.
    local = aws.endpoint_url is not None and "AWS_ACCESS_KEY_ID" not in os.environ
    return _shared_session(aws.region, "test" if local else None)


@cache
def _shared_session(region: str, key: str | None) -> aioboto3.Session:
    """One for all clients: each session reads the descriptions of the services anew, which takes ten times as long."""
    return aioboto3.Session(aws_access_key_id=key, aws_secret_access_key=key, region_name=region)


def _config(read_seconds: float, connections: int) -> AioConfig:
    # The SDK's retries are off: order and backoff are decided by who calls, who knows the message group.
    return AioConfig(
        connect_timeout=min(5.0, read_seconds),
        read_timeout=read_seconds,
        max_pool_connections=connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
