"""The lean client is light to import, and the factory makes it where it is asked for."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.client_choice import client_choice
from event_trio.broker.lean import LeanClient
from event_trio.errors import ConfigurationError
from tools.embedded.ports import LOOPBACK, free_port

CODE = """
import sys, event_trio.broker.lean
print(*sorted({"aiohttp", "aioboto3", "aiobotocore", "boto3", "botocore"} & sys.modules.keys()))
"""


def test_the_import_is_light() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("factory", [sns, sqs])
async def test_the_factory_makes_the_client_that_is_asked_for(factory: Callable[[Aws], Any]) -> None:
    aws = Aws("us-east-1", f"http://{LOOPBACK}:{free_port()}")
    async with factory(replace(aws, client="stock")) as stock, factory(aws) as lean:
        assert not isinstance(stock, LeanClient)
        assert isinstance(lean, LeanClient)


@pytest.mark.parametrize(("value", "expected"), [(None, "lean"), ("", "lean"), ("lean", "lean"), (" stock ", "stock")])
def test_the_environment_chooses_the_client(value: str | None, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CLIENT", raising=False)
    if value is not None:
        monkeypatch.setenv("AWS_CLIENT", value)
    assert client_choice() == expected


def test_a_client_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CLIENT", "boto")
    with pytest.raises(ConfigurationError, match="AWS_CLIENT is 'boto': set it to lean or stock"):
        client_choice()
