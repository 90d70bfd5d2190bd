"""Creates, updates and deletes CloudFormation stacks through change sets, and waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from botocore.exceptions import ClientError

from event_trio.backoff import Backoff
from event_trio.broker.aws import error_code
from event_trio.errors import EventTrioError

if TYPE_CHECKING:
    from types_aiobotocore_cloudformation import CloudFormationClient
    from types_aiobotocore_cloudformation.type_defs import StackTypeDef

T = TypeVar("T")

# A stack with one of these statuses was never created completely: it is deleted and created again.
NEVER_CREATED = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
STABLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"})

# The messages for a change set and for a direct update.
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded")
# LocalStack answers so when two stacks are created at the same moment; on AWS it is transient as well.
TRANSIENT = ("InternalError", "InternalFailure")
RETRIES = 8


class StackFailed(EventTrioError):
    """CloudFormation could not create, update or delete a stack."""


class StackChange(StrEnum):
    """The effect of applying or removing a stack."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it."""

    name: str
    stack_id: str
    status: str
    reason: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a stack; the physical id is a queue's URL and the ARN of a topic or a subscription."""

    logical_id: str
    type: str
    physical_id: str


@dataclass(frozen=True, slots=True)
class StackTimeouts:
    """How often the status of a stack is polled, and the time limit in seconds.

    `extra_polls` is how often a failed deletion is polled again: LocalStack reports DELETE_FAILED for a resource that
    is gone already, and then deletes the rest and the stack.
    """

    poll: Backoff
    limit: float
    extra_polls: int


# LocalStack finishes a stack in a tenth of a second; AWS takes a minute and limits the rate of calls.
LOCAL = StackTimeouts(Backoff(first=0.05, factor=1.5, cap=0.2, jitter=0), limit=120, extra_polls=25)
REMOTE = StackTimeouts(Backoff(first=1, factor=1.5, cap=5, jitter=0.2), limit=1800, extra_polls=0)


class Stacks:
    """The stacks of one account and region.

    Every method raises StackFailed, naming the stack and the resource that caused it, when CloudFormation reports a
    failure. Errors of the connection are not caught.
    """

    def __init__(self, client: CloudFormationClient, timeouts: StackTimeouts) -> None:
        self._client = client
        self._timeouts = timeouts

    async def find(self, name: str) -> Stack | None:
        """The stack with that name or id; None when there is none."""
        try:
            answer = await self._call(lambda: self._client.describe_stacks(StackName=name))
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        found = _stack(answer["Stacks"][0])
        return None if found.status == "DELETE_COMPLETE" else found

    async def apply(self, name: str, body: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> StackChange:
        """Create or update the stack from the template."""
        current = await self.settled(name)
        if current is not None and current.status in NEVER_CREATED:
            await self.remove(name)
            current = None
        if current is not None and current.status not in STABLE and current.status != "REVIEW_IN_PROGRESS":
            raise StackFailed(
                f"stack {name} is in {current.status} and cannot be updated; "
                "continue its rollback (aws cloudformation continue-update-rollback) or delete it"
            )
        new = current is None or current.status == "REVIEW_IN_PROGRESS"
        try:
            change_set = await self._call(
                lambda: self._client.create_change_set(
                    StackName=name,
                    ChangeSetName=f"deploy-{uuid4().hex}",
                    ChangeSetType="CREATE" if new else "UPDATE",
                    TemplateBody=body,
                    Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
                    Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
                    Capabilities=["CAPABILITY_IAM"],  # the templates belong to this project
                )
            )
        except ClientError as error:
            if _means_no_changes(str(error)):
                return StackChange.UNCHANGED
            raise StackFailed(f"stack {name}: the template was rejected: {error}") from error
        if not await self._is_worth_executing(name, change_set["Id"]):
            return StackChange.UNCHANGED
        await self._client.execute_change_set(ChangeSetName=change_set["Id"])
        settled = await self.settled(change_set["StackId"], reviewing=False)
        if settled is None or settled.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise await self._failure(change_set["StackId"], name, settled, "created" if new else "updated")
        return StackChange.CREATED if new else StackChange.UPDATED

    async def remove(self, name: str) -> StackChange:
        """Delete the stack with its resources; a stack that does not exist is ignored."""
        current = await self.settled(name)
        if current is None:
            return StackChange.UNCHANGED
        await self._client.delete_stack(StackName=current.stack_id)
        left = await self.settled(current.stack_id)
        for _ in range(self._timeouts.extra_polls):
            if left is None:
                break
            await asyncio.sleep(self._timeouts.poll.cap)
            left = await self.settled(current.stack_id)
        if left is not None:
            raise await self._failure(current.stack_id, name, left, "deleted")
        return StackChange.DELETED

    async def resources(self, name: str) -> list[Resource]:
        """The resources of the stack; empty when it does not exist."""
        try:
            answer = await self._call(lambda: self._client.describe_stack_resources(StackName=name))
        except ClientError as error:
            if "does not exist" in str(error):
                return []
            raise
        return [
            Resource(raw["LogicalResourceId"], raw["ResourceType"], raw.get("PhysicalResourceId", ""))
            for raw in answer["StackResources"]
        ]

    async def settled(self, name: str, *, reviewing: bool = True) -> Stack | None:
        """Wait until no operation is in progress; None when there is no stack.

        A stack that only has a change set to review counts as settled, unless `reviewing` is false.
        """

        async def poll() -> tuple[bool, Stack | None]:
            found = await self.find(name)
            if found is None or (reviewing and found.status == "REVIEW_IN_PROGRESS"):
                return True, found
            return not found.status.endswith("_IN_PROGRESS"), found

        return await self._wait(poll, f"stack {name} has not settled")

    async def _is_worth_executing(self, name: str, change_set_id: str) -> bool:
        async def poll() -> tuple[bool, tuple[str, str]]:
            described = await self._call(lambda: self._client.describe_change_set(ChangeSetName=change_set_id))
            status = described["Status"]
            return status in ("CREATE_COMPLETE", "FAILED"), (status, described.get("StatusReason", ""))

        status, reason = await self._wait(poll, f"stack {name} has no finished change set")
        if status == "CREATE_COMPLETE":
            return True
        await self._client.delete_change_set(ChangeSetName=change_set_id)
        if _means_no_changes(reason):
            return False
        raise StackFailed(f"stack {name}: the change set was rejected: {reason}")

    async def _wait(self, poll: Callable[[], Awaitable[tuple[bool, T]]], message: str) -> T:
        deadline = time.monotonic() + self._timeouts.limit
        attempt = 0
        while True:
            done, found = await poll()
            if done:
                return found
            if time.monotonic() > deadline:
                raise StackFailed(f"{message} after {self._timeouts.limit:g} s")
            attempt += 1
            await asyncio.sleep(self._timeouts.poll.delay(attempt))

    async def _failure(self, stack_id: str, name: str, stack: Stack | None, intended: str) -> StackFailed:
        status, reason = (stack.status, stack.reason) if stack else ("gone", "")
        return StackFailed(
            f"stack {name} could not be {intended}, it is {status}: {await self._cause(stack_id) or reason}"
        )

    async def _cause(self, stack_id: str) -> str | None:
        """The first failure of the newest operation, which causes the later ones."""
        answer = await self._call(lambda: self._client.describe_stack_events(StackName=stack_id))
        cause = None
        for event in answer["StackEvents"]:  # newest first
            status, reason = str(event.get("ResourceStatus", "")), event.get("ResourceStatusReason", "")
            resource = event.get("LogicalResourceId", "")
            if event.get("PhysicalResourceId") == stack_id and status.endswith("_IN_PROGRESS") and cause:
                break
            if status.endswith("_FAILED") and "cancelled" not in reason and event.get("PhysicalResourceId") != stack_id:
                cause = f"{resource} ({event.get('ResourceType', '?')}): {reason or status}"
        return cause

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make an idempotent call, and retry it when AWS throttles it: the client itself does not retry."""
        for attempt in range(1, RETRIES):
            try:
                return await call()
            except ClientError as error:
                if error_code(error) not in THROTTLED + TRANSIENT:
                    raise
                await asyncio.sleep(self._timeouts.poll.delay(attempt))
        return await call()


def _means_no_changes(reason: str) -> bool:
    return any(message in reason for message in NO_CHANGES)


def _stack(raw: StackTypeDef) -> Stack:
    return Stack(
        name=raw["StackName"],
        stack_id=raw.get("StackId", raw["StackName"]),
        status=raw["StackStatus"],
        reason=raw.get("StackStatusReason", ""),
        parameters={p.get("ParameterKey", ""): p.get("ParameterValue", "") for p in raw.get("Parameters", [])},
        outputs={o.get("OutputKey", ""): o.get("OutputValue", "") for o in raw.get("Outputs", [])},
    )
