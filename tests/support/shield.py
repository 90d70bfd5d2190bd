"""Removes variables that would affect the tests: an AWS profile, a proxy, settings of a service."""

import os
import re

from tools.bootstrap import installers_environment
from tools.reference.settings import settings_classes

PREFIXES = ("AWS_", "PG", "SSL_CERT_", "EVENT_TRIO_", "DEMO_")
WHOLE = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "FAILPOINT")
# How a package index is reached; kept under another name, for this process and for those that share its tests.
KEPT = re.compile(r"SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|\w+_PROXY", re.IGNORECASE)
PREFIX = "GIVEN_TO_TESTS_"


def shield() -> None:
    """Remove the variables, and make Postgres clients ignore files in the home folder."""
    settings = {name.upper() for found in settings_classes() for name in found.model_fields}
    for name in list(os.environ):
        if name.startswith(PREFIXES) or name.upper().endswith("_PROXY") or name.upper() in {*WHOLE, *settings}:
            value = os.environ.pop(name)
            if KEPT.fullmatch(name):
                os.environ[PREFIX + name] = value
    os.environ["PGPASSFILE"] = "/nowhere/.pgpass"
    if os.environ.get("TEST_ALLOW_REMOTE") != "1":
        # TLS is not needed on this machine, and a client certificate of the user could be found.
        os.environ["PGSSLMODE"] = "disable"


def environment_of_installers() -> dict[str, str]:
    """The environment with which a package index is reached, for a test that installs something."""
    kept = {name.removeprefix(PREFIX): value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return installers_environment(dict(os.environ) | kept)
