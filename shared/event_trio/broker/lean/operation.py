"""The URL, headers and signing scope of an operation, taken once from the stock client.

botocore resolves the endpoint, with its rules for regions, FIPS, dual-stack and configured endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from .request_bodies import Unsupported
from .signing import Signer

# Valid parameters, from which the stock client builds a request that is never sent.
SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "PublishBatch": {"TopicArn": "arn", "PublishBatchRequestEntries": [{"Id": "0", "Message": "m"}]},
    "ReceiveMessage": {"QueueUrl": "url"},
    "DeleteMessageBatch": {"QueueUrl": "url", "Entries": [{"Id": "0", "ReceiptHandle": "r"}]},
    "ChangeMessageVisibilityBatch": {
        "QueueUrl": "url",
        "Entries": [{"Id": "0", "ReceiptHandle": "r", "VisibilityTimeout": 0}],
    },
}
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of one client. `headers` are the headers of every request, without date, token and signature."""

    name: str
    model: Any
    url: str
    target: str
    host: str
    headers: Mapping[str, str]
    signer: Signer
    metadata: Mapping[str, Any]
    """Members that the stock client adds to ResponseMetadata of every answer."""


async def prepare(client: Any, name: str) -> Operation:
    """Build the operation from a stock client.

    Raises Unsupported for a signature other than Version 4, an endpoint with a query string, and adaptive retries,
    which delay requests.
    """
    from botocore.utils import normalize_url_path

    if (client.meta.config.retries or {}).get("mode") == "adaptive":
        raise Unsupported
    sample = SAMPLES[name]
    model = client._service_model.operation_model(name)
    context: dict[str, Any] = {
        "client_region": client.meta.region_name,
        "client_config": client.meta.config,
        "has_streaming_input": model.has_streaming_input,
        "auth_type": model.resolved_auth_type,
        "unsigned_payload": model.unsigned_payload,
        "auth_options": client._service_model.metadata.get("auth"),
    }
    endpoint, extra, properties = await client._resolve_endpoint_ruleset(model, dict(sample), context)
    if properties:
        context["endpoint_properties"] = properties
    request = await client._convert_to_request_dict(
        api_params=sample, operation_model=model, endpoint_url=endpoint, context=context, headers=extra
    )
    signer = client._request_signer
    version = await signer._choose_signer(name, "standard", context)
    parts = urlsplit(request["url"])
    if version != "v4" or request["method"] != "POST" or parts.query or parts.hostname is None:
        raise Unsupported
    signing = context.get("signing", {})
    host = _host(parts.scheme, parts.hostname, parts.port)
    headers = {str(key): str(value) for key, value in request["headers"].items()}
    return Operation(
        name=name,
        model=model,
        url=request["url"],
        target=parts.path or "/",
        host=host,
        headers=headers,
        signer=Signer(
            path=quote(normalize_url_path(parts.path), safe="/~"),
            headers={"host": host, **headers},
            region=signing.get("region") or signer._region_name,
            service=signing.get("signing_name") or signer._signing_name,
        ),
        metadata=_metadata(client.meta.config.retries),
    )


def _host(scheme: str, name: str, port: int | None) -> str:
    bracketed = f"[{name}]" if ":" in name else name
    return bracketed if port in (None, DEFAULT_PORTS.get(scheme)) else f"{bracketed}:{port}"


def _metadata(retries: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """With one attempt, botocore adds this mark to every answer, successful ones too."""
    options = retries or {}
    once = options.get("mode") != "legacy" and options.get("total_max_attempts") == 1
    return {"MaxAttemptsReached": True} if once else {}
