"""What a command for the topology says when its work fails."""

import pytest
from botocore.exceptions import NoCredentialsError

from event_trio.broker.aws import Aws
from infra import command


async def fail() -> None:
    raise NoCredentialsError


@pytest.mark.parametrize(("endpoint", "is_advised"), [(None, True), ("http://127.0.0.1:4566", False)])
def test_missing_credentials_lead_to_the_address_of_localstack(
    endpoint: str | None, is_advised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        command.run(Aws("us-east-1", endpoint), fail())
    printed = capsys.readouterr().err
    assert "NoCredentialsError" in printed
    assert ("--endpoint-url or AWS_ENDPOINT_URL" in printed) is is_advised
