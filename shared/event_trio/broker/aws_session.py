"""The AWS SDK's session: configured by the environment for AWS, and independent of it for LocalStack."""

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

# The customary access key of LocalStack, which accepts any.
LOCAL_KEY = "test"
LOCAL_REGION = "us-east-1"
REGION_OF_QUEUE = re.compile(r"https://sqs(?:-fips)?\.(?P<region>[a-z0-9-]+)\.")
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_SNS")


class ClientOptions(TypedDict, total=False):
    """Options of the SDK that depend on the endpoint."""

    proxies: dict[str, str]
    use_fips_endpoint: bool
    use_dualstack_endpoint: bool


def region_and_endpoint(queue: str) -> tuple[str, str | None]:
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
    """The session that all clients share: a new session loads the service descriptions again, which is slow."""
    if targets_aws(endpoint_url):
        return _configured_session(region)
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    return _local_session(region, *((key, secret) if key and secret else (LOCAL_KEY, LOCAL_KEY)))


def options(endpoint_url: str | None) -> ClientOptions:
    """For LocalStack, no proxy and no FIPS or dual-stack endpoint."""
    if targets_aws(endpoint_url):
        return {}
    return {"proxies": {}, "use_fips_endpoint": False, "use_dualstack_endpoint": False}


def verification(endpoint_url: str | None) -> bool | None:
    """Whether to verify certificates; None leaves it to the SDK. Without TLS no certificates are read."""
    if endpoint_url is None or is_aws(endpoint_url):
        return None
    return endpoint_url.lower().startswith("https://")


def targets_aws(endpoint_url: str | None) -> bool:
    """Whether calls go to AWS: without an endpoint, or with one of AWS, such as that of a VPC."""
    return endpoint_url is None or is_aws(endpoint_url)


def ensure_credentials_match_endpoint(endpoint_url: str | None) -> None:
    """Raise ConfigurationError when LocalStack's access key would be sent to AWS: the endpoint is missing."""
    key = os.environ.get("AWS_ACCESS_KEY_ID")
    elsewhere = any(os.environ.get(name) for name in (*ENDPOINT_VARIABLES, "AWS_ENDPOINT_URL"))
    if targets_aws(endpoint_url) and key == LOCAL_KEY and not elsewhere:
        raise ConfigurationError(
            f"AWS_ACCESS_KEY_ID is {LOCAL_KEY!r}, which is for LocalStack, but AWS_ENDPOINT_URL is not set, so that it "
            "would be sent to AWS: set AWS_ENDPOINT_URL to the address of LocalStack, or use credentials of AWS"
        )


def configuration_error(error: Exception) -> ConfigurationError:
    """The error for a configuration that the SDK cannot use."""
    kind = "" if isinstance(error, BotoCoreError) else f"{type(error).__name__}: "
    return ConfigurationError(
        f"the AWS SDK cannot use its configuration: {kind}{error}. Check the AWS_* variables (AWS_PROFILE, "
        "AWS_CA_BUNDLE, AWS_CONFIG_FILE) and ~/.aws"
    )


def ensure_certificates() -> None:
    """Load the CA bundle that the SDK would read at its first call; raises its error."""
    bundle = AioSession().get_config_variable("ca_bundle")
    if bundle:
        ssl.create_default_context(cafile=bundle)


@cache
def _configured_session(region: str) -> aioboto3.Session:
    return aioboto3.Session(region_name=region)


@cache
def _local_session(region: str, key: str, secret: str) -> aioboto3.Session:
    """A session with the SDK's defaults: the AWS_* variables and files below ~/.aws concern AWS, and are not read."""
    found = AioSession()
    defaults = {name: default for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()}
    chosen = {"config_file": os.devnull, "credentials_file": os.devnull, "region": region}
    for name, value in {**defaults, **chosen}.items():
        found.get_component("config_store").set_config_provider(name, ConstantProvider(value))
    return aioboto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, botocore_session=found)
