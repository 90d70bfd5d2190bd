"""Importing the lean client loads neither aiohttp nor botocore."""

import subprocess
import sys

CODE = """
import sys, event_trio.broker.lean
print(*sorted({"aiohttp", "aioboto3", "aiobotocore", "boto3", "botocore"} & sys.modules.keys()))
"""


def test_the_import_is_light() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
