"""Creates the AWS clients; no other module depends on the AWS SDK's session.

Only `client()` is used and not the resource API, so that aioboto3 could be replaced by aiobotocore in two lines.
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
from .client_choice import ClientChoice
from .host_names import verify_host_names
from .lean import lean

if TYPE_CHECKING:
    from types_aiobotocore_cloudformation import CloudFormationClient
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

C = TypeVar("C")

CALL_SECONDS = 5.0
"""The deadline of a call. A receive may take longer by the time that it waits for messages."""
# The longest wait of ReceiveMessage (AWS: WaitTimeSeconds).
LONGEST_WAIT_SECONDS = 20
LOCALSTACK_ACCOUNT = "000000000000"
NOT_FOUND_CODES = frozenset(
    {
        *("AWS.SimpleQueueService.NonExistentQueue", "AWS.SimpleQueueService.QueueDoesNotExist", "QueueDoesNotExist"),
        *("NotFound", "NotFoundException"),
    }
)
"""The error codes of SQS and of SNS for what does not exist; SQS's differ by protocol."""


def drain_for(wait_seconds: float) -> float:
    """The shortest drain of a consumer whose receives wait so long: a second more, or a tenth.

    The last receive must not be cancelled: the messages that it takes would stay invisible.
    """
    return wait_seconds + max(1.0, wait_seconds / 10)


# Everything that a call can raise when the broker, the network or the credentials fail. The last line is for an invalid
# response, such as a gateway's page with status 200: the SDK's parsers raise any of these errors for it.
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
    """A region of AWS, or the endpoint of LocalStack."""

    region: str = "us-east-1"
    endpoint_url: str | None = None
    client: ClientChoice = "lean"
    """`lean` makes the calls that carry messages with LeanClient, which costs less CPU."""

    @property
    def session(self) -> aioboto3.Session:
        return aws_session.session(self.region, self.endpoint_url)

    @property
    def verify(self) -> bool | None:
        return aws_session.verification(self.endpoint_url)


def sns(
    aws: Aws, *, call_seconds: float = CALL_SECONDS, connections: int = 20
) -> AbstractAsyncContextManager[SNSClient]:
    """A client of SNS. Each call has a deadline of `call_seconds`, and the SDK does not retry."""
    config = _config(aws, call_seconds, call_seconds, connections)
    made = aws.session.client("sns", endpoint_url=aws.endpoint_url, verify=aws.verify, config=config)
    return _bounded(made, call_seconds, through=aws.client)


def sqs(
    aws: Aws, *, call_seconds: float = CALL_SECONDS, connections: int = 20
) -> AbstractAsyncContextManager[SQSClient]:
    """A client of SQS. Each call has a deadline of `call_seconds`, a receive in addition its wait for messages.

    Its read timeout exceeds the longest wait, as AWS requires, so it does not limit the other calls.
    """
    config = _config(aws, LONGEST_WAIT_SECONDS + call_seconds, call_seconds, connections)
    made = aws.session.client("sqs", endpoint_url=aws.endpoint_url, verify=aws.verify, config=config)
    return _bounded(made, call_seconds, through=aws.client)


def cloudformation(aws: Aws, *, call_seconds: float = 30.0) -> AbstractAsyncContextManager[CloudFormationClient]:
    """A client of CloudFormation."""
    config = _config(aws, call_seconds, CALL_SECONDS, 5)
    made = aws.session.client("cloudformation", endpoint_url=aws.endpoint_url, verify=aws.verify, config=config)
    return _bounded(made, call_seconds)


async def ensure_usable(aws: Aws) -> None:
    """Raise ConfigurationError when the SDK's own variables and files are unusable, so that every call would fail.

    No call is made. For LocalStack there is nothing to check: the SDK reads none of them.
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
    """The ARN of a topic of this account, whether or not it exists.

    The account comes from STS GetCallerIdentity, which needs no permission. For LocalStack it is the access key, if
    that is an account id, or the default account.
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


def topic_arn_beside(queue_arn: str, topic: str) -> str:
    """The ARN of a topic in the account and region of a queue."""
    return f"{queue_arn.rpartition(':')[0].replace(':sqs:', ':sns:', 1)}:{topic}"


def is_not_found(error: BaseException) -> bool:
    """Whether a call failed because its queue, topic or subscription does not exist."""
    return error_code(error) in NOT_FOUND_CODES


def error_code(error: BaseException) -> str:
    """The AWS error code of a failed call, or the name of the exception where AWS gave none."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__


@asynccontextmanager
async def _bounded(
    made: AbstractAsyncContextManager[C], call_seconds: float, *, through: ClientChoice = "stock"
) -> AsyncIterator[C]:
    """The client with a deadline for each call as a whole. The SDK's timeouts apply to each read separately, and not to
    the wait for a connection, name resolution and credentials.
    """
    async with made as client:
        # Every operation calls it, those of paginators as well; the SDK's type stubs do not declare it.
        bounded: Any = client
        verify_host_names(bounded)

        async def call(operation: str, parameters: Mapping[str, Any]) -> Any:
            wait = parameters.get("WaitTimeSeconds", 0) if operation == "ReceiveMessage" else 0
            async with asyncio.timeout(wait + call_seconds):
                return await type(bounded)._make_api_call(bounded, operation, parameters)

        bounded._make_api_call = call
        if through == "stock":
            yield client
            return
        async with lean(client, call_seconds=call_seconds) as lean_client:
            yield lean_client


def _config(aws: Aws, read_seconds: float, connect_seconds: float, connections: int) -> AioConfig:
    # The SDK's retries are disabled: the callers know the message groups, and decide on order and backoff.
    return AioConfig(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        max_pool_connections=connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        **aws_session.options(aws.endpoint_url),
    )
