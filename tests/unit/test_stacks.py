"""Answers of CloudFormation on AWS that LocalStack does not give: incomplete, rolled back, throttled, rejected."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from event_trio.backoff import Backoff
from infra.stacks import StackChange, StackFailed, Stacks, StackTimeouts

SHORT = StackTimeouts(Backoff(first=0.001, factor=1, cap=0.001, jitter=0), limit=0.2, extra_polls=2)


def client_error(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class CloudFormation:
    """One stack with a list of statuses for each operation; the last status stays."""

    def __init__(self, *statuses: str, reason: str = "", change_set: str = "CREATE_COMPLETE") -> None:
        self.statuses = list(statuses)
        self.change_set = (change_set, reason)
        self.after_execute: list[str] = []
        self.after_delete: list[str] = []
        self.errors: list[ClientError] = []
        self.events: list[dict[str, str]] = []
        self.calls: list[str] = []

    async def describe_stacks(self, **given: str) -> dict[str, Any]:
        if self.errors:
            raise self.errors.pop(0)
        if not self.statuses:
            raise client_error("ValidationError", f"Stack with id {given['StackName']} does not exist")
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"Stacks": [{"StackName": "s", "StackId": "arn:s", "StackStatus": status}]}

    async def create_change_set(self, **given: Any) -> dict[str, str]:
        self.calls.append(given["ChangeSetType"])
        return {"Id": "change", "StackId": "arn:s"}

    async def describe_change_set(self, **given: str) -> dict[str, str]:
        status, reason = self.change_set
        return {"Status": status, "StatusReason": reason}

    async def delete_change_set(self, **given: str) -> None:
        self.calls.append("discard")

    async def execute_change_set(self, **given: str) -> None:
        self.calls.append("execute")
        self.statuses = self.after_execute

    async def delete_stack(self, **given: str) -> None:
        self.calls.append("delete")
        self.statuses = self.after_delete

    async def describe_stack_events(self, **given: str) -> dict[str, Any]:
        return {"StackEvents": self.events}


async def apply(client: CloudFormation) -> StackChange:
    return await Stacks(client, SHORT).apply("s", "body", {}, {})  # type: ignore[arg-type]


async def test_a_stack_that_was_only_reviewed_is_created() -> None:
    client = CloudFormation("REVIEW_IN_PROGRESS")
    client.after_execute = ["REVIEW_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert await apply(client) is StackChange.CREATED
    assert client.calls == ["CREATE", "execute"]


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"])
async def test_an_incomplete_stack_is_recreated(status: str) -> None:
    client = CloudFormation(status)
    client.after_execute = ["CREATE_COMPLETE"]
    assert await apply(client) is StackChange.CREATED
    assert client.calls == ["delete", "CREATE", "execute"]


async def test_a_deployment_in_progress_is_waited_for() -> None:
    client = CloudFormation("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE")
    client.after_execute = ["UPDATE_COMPLETE"]
    assert await apply(client) is StackChange.UPDATED
    assert client.calls == ["UPDATE", "execute"]


async def test_a_wait_ends_with_the_name_of_the_stack() -> None:
    with pytest.raises(StackFailed, match=r"stack s has not settled"):
        await apply(CloudFormation("UPDATE_IN_PROGRESS"))


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
async def test_no_changes_are_not_a_failure(reason: str) -> None:
    client = CloudFormation("CREATE_COMPLETE", change_set="FAILED", reason=reason)
    assert await apply(client) is StackChange.UNCHANGED
    assert client.calls == ["UPDATE", "discard"]


async def test_a_rejected_change_set_is_reported_with_its_reason() -> None:
    client = CloudFormation("CREATE_COMPLETE", change_set="FAILED", reason="Unresolved dependency")
    with pytest.raises(StackFailed, match=r"stack s.*Unresolved dependency"):
        await apply(client)


async def test_a_failure_names_the_resource_that_caused_it() -> None:
    client = CloudFormation()
    client.after_execute = ["CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE"]
    client.events = [  # newest first, as CloudFormation lists them
        {"LogicalResourceId": "s", "PhysicalResourceId": "arn:s", "ResourceStatus": "ROLLBACK_COMPLETE"},
        event("Policy", "CREATE_FAILED", "Resource creation cancelled"),
        event("Queue", "CREATE_FAILED", "Value 5 for maxReceiveCount is invalid"),
        {"LogicalResourceId": "s", "PhysicalResourceId": "arn:s", "ResourceStatus": "CREATE_IN_PROGRESS"},
        event("Old", "CREATE_FAILED", "of an operation before this one"),
    ]
    with pytest.raises(StackFailed) as failure:
        await apply(client)
    assert str(failure.value) == (
        "stack s could not be created, it is ROLLBACK_COMPLETE: "
        "Queue (AWS::SQS::Queue): Value 5 for maxReceiveCount is invalid"
    )


async def test_a_failed_rollback_is_reported_with_the_remedy() -> None:
    with pytest.raises(StackFailed, match="continue-update-rollback"):
        await apply(CloudFormation("UPDATE_ROLLBACK_FAILED"))


async def test_a_throttled_call_is_retried() -> None:
    client = CloudFormation("CREATE_COMPLETE", change_set="FAILED", reason="No updates are to be performed.")
    client.errors = [client_error("Throttling", "Rate exceeded")] * 3
    assert await apply(client) is StackChange.UNCHANGED


async def test_other_errors_are_not_caught() -> None:
    client = CloudFormation("CREATE_COMPLETE")
    client.errors = [client_error("AccessDenied", "not you")]
    with pytest.raises(ClientError, match="AccessDenied"):
        await apply(client)


async def test_a_deletion_that_completes_after_a_failure_succeeds() -> None:
    client = CloudFormation("CREATE_COMPLETE")
    client.after_delete = ["DELETE_IN_PROGRESS", "DELETE_FAILED", "DELETE_COMPLETE"]
    assert await Stacks(client, SHORT).remove("s") is StackChange.DELETED  # type: ignore[arg-type]


async def test_a_failed_deletion_names_the_resource() -> None:
    client = CloudFormation("CREATE_COMPLETE")
    client.after_delete = ["DELETE_FAILED"]
    client.events = [event("Queue", "DELETE_FAILED", "it is in use")]
    with pytest.raises(StackFailed, match=r"could not be deleted.*Queue.*it is in use"):
        await Stacks(client, SHORT).remove("s")  # type: ignore[arg-type]


def event(resource: str, status: str, reason: str) -> dict[str, str]:
    return {
        "LogicalResourceId": resource,
        "PhysicalResourceId": resource.lower(),
        "ResourceType": f"AWS::SQS::{resource}",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }
