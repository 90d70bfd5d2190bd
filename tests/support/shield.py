"""Keeps the variables of whoever runs the tests from them: a profile for AWS, a proxy, settings of a service."""

import os

from tools.reference.settings import settings_classes

PREFIXES = ("AWS_", "PG", "SSL_CERT_", "EVENT_TRIO_", "DEMO_")
WHOLE = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "FAILPOINT")


def shield() -> None:
    """Forget them, and what Postgres' clients find in files below the home."""
    settings = {name.upper() for found in settings_classes() for name in found.model_fields}
    for name in list(os.environ):
        if name.startswith(PREFIXES) or name.upper().endswith("_PROXY") or name.upper() in {*WHOLE, *settings}:
            del os.environ[name]
    os.environ["PGPASSFILE"] = "/nowhere/.pgpass"
    if os.environ.get("TEST_ALLOW_REMOTE") != "1":
        # On this machine nothing is gained by TLS, and somebody's client certificate might be found.
        os.environ["PGSSLMODE"] = "disable"
