"""A client that wraps a stock client of SNS or SQS and makes the calls that carry messages at a fraction of their cost.

The lean path sends the request and parses the answer of a success. The stock client does everything else: other
operations, unsupported parameters, and every failure. A failed answer is passed to the stock client as the answer to a
request of its own, so that exceptions, retries and event hooks are botocore's.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast

from .answers import METADATA, READERS
from .connection import RawAnswer
from .operation import Operation, prepare
from .request_bodies import BUILDERS, Unsupported
from .transport import Transport

C = TypeVar("C")

METHODS = {
    "sns": {"publish_batch": "PublishBatch"},
    "sqs": {
        "receive_message": "ReceiveMessage",
        "delete_message_batch": "DeleteMessageBatch",
        "change_message_visibility_batch": "ChangeMessageVisibilityBatch",
    },
}
# AWS error codes for a request whose signature is too old or too new.
SKEWED = frozenset(
    {
        "RequestTimeTooSkewed",
        "RequestExpired",
        "RequestInTheFuture",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "AuthFailure",
    }
)
# AWS accepts five minutes. For a smaller difference, the error has another cause.
LEAST_SKEW_SECONDS = 240.0

# The stock client's HTTP library follows these to the address in the header Location.
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_given: ContextVar[RawAnswer | Exception | None] = ContextVar("_given", default=None)
"""The outcome that the stock client must take for that of its first request, in the call under way."""


class LeanClient:
    """A client with all methods of the stock client. Those of `METHODS` take the lean path.

    `call_seconds` is the deadline of a call; a receive may take its WaitTimeSeconds longer. Without it, only the
    timeouts for connecting and reading apply.
    """

    def __init__(self, stock: Any, *, call_seconds: float | None = None) -> None:
        self._stock = stock
        self._call_seconds = call_seconds
        self._service: str = stock.meta.service_model.service_name
        self._transport: Transport | None = None
        self._operations: dict[str, Operation | None] = {}
        for name in METHODS.get(self._service, {}).values():
            stock.meta.events.register(f"before-send.{self._service}.{name}", _hand_over, unique_id=f"lean-{name}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stock, name)

    async def publish_batch(self, **parameters: Any) -> Any:
        """PublishBatch; parameters and answer are the stock client's."""
        return await self._call("publish_batch", parameters)

    async def receive_message(self, **parameters: Any) -> Any:
        """ReceiveMessage; parameters and answer are the stock client's. Never cancel it, as `Queue.receive` says."""
        return await self._call("receive_message", parameters)

    async def delete_message_batch(self, **parameters: Any) -> Any:
        """DeleteMessageBatch; parameters and answer are the stock client's."""
        return await self._call("delete_message_batch", parameters)

    async def change_message_visibility_batch(self, **parameters: Any) -> Any:
        """ChangeMessageVisibilityBatch; parameters and answer are the stock client's."""
        return await self._call("change_message_visibility_batch", parameters)

    def close_idle(self) -> None:
        """Close the lean path's connections. The stock client closes its own."""
        if self._transport is not None:
            self._transport.close()

    async def _call(self, method: str, parameters: dict[str, Any]) -> Any:
        name = METHODS.get(self._service, {}).get(method)
        if name is None:
            return await getattr(self._stock, method)(**parameters)
        try:
            body = BUILDERS[name](parameters)
        except Unsupported:
            return await getattr(self._stock, method)(**parameters)
        wait = parameters.get("WaitTimeSeconds", 0)
        async with asyncio.timeout(None if self._call_seconds is None else wait + self._call_seconds):
            outcome = await self._attempt(name, body)
            if isinstance(outcome, dict):
                return outcome
            return await self._let_stock_answer(method, name, parameters, outcome)

    async def _attempt(self, name: str, body: bytes) -> dict[str, Any] | RawAnswer | Exception | None:
        """The parsed answer of a success, any other answer, or the failure; None if the stock client must call."""
        from botocore.exceptions import HTTPClientError

        operation = await self._operation(name)
        if operation is None or self._transport is None or not await self._emit_before_call(operation, body):
            return None
        credentials = self._stock._request_signer._credentials
        if credentials is None:
            return None
        headers = {
            **operation.headers,
            **operation.signer.sign(body, await credentials.get_frozen_credentials()),
            "amz-sdk-invocation-id": str(uuid.uuid4()),
            "amz-sdk-request": "attempt=1",
        }
        try:
            answer = await self._transport.send(operation, headers, body)
        except HTTPClientError as error:
            return error
        if answer.status != 200:
            return None if answer.status in REDIRECTS and "location" in answer.headers else answer
        parsed = READERS[name](answer.body, answer.headers)
        if parsed is None:
            return answer
        parsed[METADATA].update(HTTPStatusCode=200, HTTPHeaders=answer.headers, RetryAttempts=0, **operation.metadata)
        return parsed

    async def _operation(self, name: str) -> Operation | None:
        """The operation; None if the lean path does not support this client."""
        if name not in self._operations:
            try:
                if self._transport is None:
                    self._transport = Transport(self._stock)
                self._operations[name] = await prepare(self._stock, name)
            except Unsupported:
                self._operations[name] = None
        return self._operations[name]

    async def _emit_before_call(self, operation: Operation, body: bytes) -> bool:
        """Call the stock client's `before-call` hooks. Returns False if one of them answers or changes the request."""
        request: dict[str, Any] = {
            "method": "POST",
            "url": operation.url,
            "url_path": operation.target,
            "query_string": "",
            "headers": {},
            "body": body,
            "context": {},
        }
        _, response = await self._stock.meta.events.emit_until_response(
            f"before-call.{self._service}.{operation.name}",
            model=operation.model,
            params=request,
            request_signer=self._stock._request_signer,
            context=request["context"],
        )
        return response is None and not request["headers"] and request["body"] is body

    async def _let_stock_answer(
        self, method: str, name: str, parameters: Mapping[str, Any], outcome: RawAnswer | Exception | None
    ) -> Any:
        """Make the call with the stock client, which takes the outcome for that of its first request."""
        from botocore.exceptions import ClientError

        token = _given.set(outcome)
        try:
            return await getattr(self._stock, method)(**parameters)
        except ClientError as error:
            operation = self._operations.get(name)
            if operation is not None and isinstance(outcome, RawAnswer):
                _learn_time(operation, error, outcome)
            raise
        finally:
            _given.reset(token)


@asynccontextmanager
async def _opened(stock: Any, call_seconds: float | None) -> AsyncIterator[LeanClient]:
    client = LeanClient(stock, call_seconds=call_seconds)
    try:
        yield client
    finally:
        client.close_idle()


def lean(stock: C, *, call_seconds: float | None = None) -> AbstractAsyncContextManager[C]:
    """Wrap a stock client of SNS or SQS for the duration of the block.

    The stock client must outlast the block. `call_seconds` is as in LeanClient.
    """
    return cast(AbstractAsyncContextManager[C], _opened(stock, call_seconds))


def _hand_over(request: Any, **_: Any) -> Any:
    """A `before-send` hook: returns or raises the outcome of the request that the lean path made."""
    outcome = _given.get()
    if outcome is None:
        return None
    # The stock client sends its retries itself.
    _given.set(None)
    if isinstance(outcome, Exception):
        raise outcome
    from aiobotocore.awsrequest import AioAWSResponse

    headers: Any = outcome.headers
    response: Any = AioAWSResponse(request.url, outcome.status, headers, None)
    response._content = outcome.body
    return response


def _learn_time(operation: Operation, error: Any, answer: RawAnswer) -> None:
    """After an error about the time of a signature, sign the next calls with the time of the broker's answer."""
    if error.response.get("Error", {}).get("Code") not in SKEWED:
        return
    try:
        there = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (LookupError, ValueError):
        return
    operation.signer.note_time(there, tolerance_seconds=LEAST_SKEW_SECONDS)
