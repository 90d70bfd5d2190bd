"""The SDK's session: on AWS as the surroundings configure it, elsewhere deaf to them."""

from __future__ import annotations

import os
import re
import ssl
from functools import cache
from typing import TypedDict

import aioboto3
from aiobotocore.session import AioSession
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, ConstantProvider
from botocore.exceptions import BotoCoreError

from ..errors import ConfigurationError
from ..urls import is_aws

# What everybody gives LocalStack, which takes any.
LOCAL_KEY = "test"
LOCAL_REGION = "us-east-1"
REGION_OF_QUEUE = re.compile(r"https://sqs(?:-fips)?\.(?P<region>[a-z0-9-]+)\.")
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_SNS")


class ClientOptions(TypedDict, total=False):
    """What the SDK's configuration is told about where it is."""

    proxies: dict[str, str]
    use_fips_endpoint: bool
    use_dualstack_endpoint: bool


def surroundings(queue: str) -> tuple[str, str | None]:
    """The region and the address of SQS as the standard AWS variables and files give them.

    The region of a queue's URL is taken where none is configured. Raises ConfigurationError when there is none.
    """
    endpoint_url = os.environ.get("AWS_ENDPOINT_URL_SQS") or os.environ.get("AWS_ENDPOINT_URL") or None
    region = os.environ.get("AWS_REGION") or AioSession().get_config_variable("region")
    if not region and (found := REGION_OF_QUEUE.match(queue)):
        region = found["region"]
    if not region and not targets_aws(endpoint_url):
        region = LOCAL_REGION
    if not region:
        raise ConfigurationError("no AWS region is configured: set AWS_REGION")
    return str(region), endpoint_url


def session(region: str, endpoint_url: str | None) -> aioboto3.Session:
    """One for all clients: each session reads the descriptions of the services anew, which takes ten times as long."""
    if targets_aws(endpoint_url):
        return _configured_session(region)
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    return _local_session(region, *((key, secret) if key and secret else (LOCAL_KEY, LOCAL_KEY)))


def options(endpoint_url: str | None) -> ClientOptions:
    """Between here and LocalStack there is no proxy, and no special endpoint of AWS's is meant."""
    if targets_aws(endpoint_url):
        return {}
    return {"proxies": {}, "use_fips_endpoint": False, "use_dualstack_endpoint": False}


def verification(endpoint_url: str | None) -> bool | None:
    """Whether to check certificates; None is as the SDK is configured. Without TLS none need be there to be read."""
    if endpoint_url is None or is_aws(endpoint_url):
        return None
    return endpoint_url.lower().startswith("https://")


def targets_aws(endpoint_url: str | None) -> bool:
    """Whether calls go to AWS itself: without an address, or with one of its own, such as a private one in a VPC."""
    return endpoint_url is None or is_aws(endpoint_url)


def ensure_credentials_match_endpoint(endpoint_url: str | None) -> None:
    """Raise ConfigurationError when LocalStack's key would go to AWS: then an address has been forgotten."""
    key = os.environ.get("AWS_ACCESS_KEY_ID")
    elsewhere = any(os.environ.get(name) for name in (*ENDPOINT_VARIABLES, "AWS_ENDPOINT_URL"))
    if targets_aws(endpoint_url) and key == LOCAL_KEY and not elsewhere:
        raise ConfigurationError(
            f"AWS_ACCESS_KEY_ID is {LOCAL_KEY!r}, which is for LocalStack, and AWS_ENDPOINT_URL is not set, so that it "
            "would go to AWS: set AWS_ENDPOINT_URL to LocalStack's address, or give credentials of AWS"
        )


def configuration_error(error: Exception) -> ConfigurationError:
    """What to say when the SDK finds its configuration unusable."""
    kind = "" if isinstance(error, BotoCoreError) else f"{type(error).__name__}: "
    return ConfigurationError(
        f"the AWS SDK cannot be used as it is configured: {kind}{error}. See AWS_* variables (AWS_PROFILE, "
        "AWS_CA_BUNDLE, AWS_CONFIG_FILE) and ~/.aws"
    )


def ensure_certificates() -> None:
    """Raise what is wrong with the certificates that the SDK is told to use, which it reads at its first call only."""
    bundle = AioSession().get_config_variable("ca_bundle")
    if bundle:
        ssl.create_default_context(cafile=bundle)


@cache
def _configured_session(region: str) -> aioboto3.Session:
    return aioboto3.Session(region_name=region)


@cache
def _local_session(region: str, key: str, secret: str) -> aioboto3.Session:
    """The SDK's own defaults: neither AWS_* variables nor files below ~/.aws are read, for they are about AWS."""
    found = AioSession()
    defaults = {name: default for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()}
    chosen = {"config_file": os.devnull, "credentials_file": os.devnull, "region": region}
    for name, value in {**defaults, **chosen}.items():
        found.get_component("config_store").set_config_provider(name, ConstantProvider(value))
    return aioboto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, botocore_session=found)
