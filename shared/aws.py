"""The one place that makes AWS clients, so that the library behind them is a matter of this file.

Only `client()` is used, never the resource API: there aioboto3 adds nothing to aiobotocore, so that changing over
is a matter of two lines.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

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

# The longest that SQS lets a receive wait (AWS: ReceiveMessage, WaitTimeSeconds).
LONGEST_WAIT_SECONDS = 20

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


def sns(aws: Aws, *, call_seconds: float = 5.0, connections: int = 20) -> AbstractAsyncContextManager[SNSClient]:
    """A client for SNS whose calls end after about `call_seconds`, without retries of its own."""
    return aws.session.client(
        "sns", endpoint_url=aws.endpoint_url, verify=aws.verify, config=_config(aws, call_seconds, connections)
    )


def sqs(aws: Aws, *, call_seconds: float = 5.0, connections: int = 20) -> AbstractAsyncContextManager[SQSClient]:
    """A client for SQS; its read timeout exceeds the longest wait of a receive, as AWS asks."""
    config = _config(aws, LONGEST_WAIT_SECONDS + call_seconds, connections)
    return aws.session.client("sqs", endpoint_url=aws.endpoint_url, verify=aws.verify, config=config)


def cloudformation(aws: Aws, *, call_seconds: float = 30.0) -> AbstractAsyncContextManager[CloudFormationClient]:
    """A client for CloudFormation."""
    config = _config(aws, call_seconds, 5)
    return aws.session.client("cloudformation", endpoint_url=aws.endpoint_url, verify=aws.verify, config=config)


async def ensure_usable(aws: Aws) -> None:
    """Raise ConfigurationError when the SDK could never make a call: what its own variables and files say is wrong.

    Nothing is called. LocalStack needs no look: the SDK reads none of them for it.
    """
    aws_session.ensure_credentials_are_meant(aws.endpoint_url)
    if not aws_session.leads_to_aws(aws.endpoint_url):
        return
    try:
        aws_session.ensure_certificates()
        async with sqs(aws):
            pass
    except (BotoCoreError, OSError, ValueError) as error:
        raise aws_session.sentence(error) from None


def error_code(error: BaseException) -> str:
    """The AWS error code of a failed call, or the name of the exception where AWS gave none."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


def _config(aws: Aws, read_seconds: float, connections: int) -> AioConfig:
    # The SDK's retries are off: order and backoff are decided by who calls, who knows the message group.
    return AioConfig(
        connect_timeout=min(5.0, read_seconds),
        read_timeout=read_seconds,
        max_pool_connections=connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        **aws_session.options(aws.endpoint_url),
    )
