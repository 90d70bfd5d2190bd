"""Lets the AWS SDK verify certificates as boto3 does: host names, and servers behind a proxy.

aiobotocore takes botocore's TLS context, which leaves host names to urllib3, but does not use urllib3. Through a proxy
it verifies nothing unless the proxy has a CA bundle of its own.
"""

from __future__ import annotations

import ssl
from typing import Any


def verify_host_names(client: Any) -> None:
    """Apply to all connections that a client of aiobotocore opens from now on, unless its verification is disabled."""
    session = client._endpoint.http_session
    make_context, make_proxy_context = session._get_ssl_context, session._setup_proxy_ssl_context

    def context() -> ssl.SSLContext:
        made: ssl.SSLContext = make_context()
        made.check_hostname = True
        return made

    def proxy_context(proxy_url: str) -> ssl.SSLContext:
        found: ssl.SSLContext | None = make_proxy_context(proxy_url)
        return found or context()

    session._get_ssl_context = context
    session._setup_proxy_ssl_context = proxy_context
