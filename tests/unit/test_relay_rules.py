"""Small rules of the relay: the classification of the broker's codes, and the share of lanes."""

import pytest

from event_trio.outbox.schema import LANES
from services.relay.leases.lanes import share
from services.relay.publishing.outcome import (
    BrokerMisconfigured,
    BrokerOutage,
    CallRejected,
    Permanent,
    Throttled,
    Transient,
    classify_call,
    classify_entry,
)


@pytest.mark.parametrize("code", ["InvalidParameter", "InvalidParameterValue", "ValidationError"])
def test_an_invalid_entry_is_a_permanent_failure(code: str) -> None:
    assert classify_entry(code, "no") == Permanent(f"{code}: no")


@pytest.mark.parametrize("code", ["InternalError", "ServiceUnavailable", "NeverSeenBefore"])
def test_any_other_failed_entry_is_a_transient_failure(code: str) -> None:
    assert classify_entry(code, "") == Transient(code)


@pytest.mark.parametrize("code", ["BatchRequestTooLong", "InvalidParameter", "TooManyEntriesInBatchRequest"])
def test_a_call_rejected_for_its_content_is_split(code: str) -> None:
    assert isinstance(classify_call(code, ""), CallRejected)


@pytest.mark.parametrize(
    "code",
    ["NotFound", "AuthorizationError", "AccessDenied", "KMSDisabled", "KMSAccessDenied", "ExpiredToken",
     "InvalidClientTokenId", "SignatureDoesNotMatch", "InternalError", "ServiceUnavailable", "NeverSeenBefore"],
)  # fmt: skip
def test_missing_resources_permissions_keys_credentials_and_unknown_codes_are_outages(code: str) -> None:
    assert isinstance(classify_call(code, ""), BrokerOutage)


@pytest.mark.parametrize(
    "code",
    ["Throttling", "ThrottlingException", "ThrottledException", "Throttled", "RequestThrottled",
     "RequestThrottledException", "TooManyRequests", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown",
     "ProvisionedThroughputExceededException", "KMSThrottling", "KMS.ThrottlingException", "LimitExceededException",
     "com.amazonaws.sns#ThrottlingException", "KMSThrottlingException"],
)  # fmt: skip
def test_throttling_is_neither_an_outage_nor_a_failed_attempt(code: str) -> None:
    assert classify_entry(code, "slower") == Throttled(f"{code}: slower")
    assert classify_call(code, "") == Throttled(code)


def test_throttling_is_detected_by_the_status_too() -> None:
    assert isinstance(classify_call("Whatever", "", 429), Throttled)
    assert isinstance(classify_call("ServiceUnavailable", "", 503), BrokerOutage)


@pytest.mark.parametrize(
    "code",
    ["NotFound", "AuthorizationError", "AccessDenied", "KMSDisabled", "KMSAccessDenied", "KMSInvalidState",
     "KMSNotFound", "ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidSecurity"],
)  # fmt: skip
def test_an_entry_rejected_for_access_or_credentials_is_not_the_cause(code: str) -> None:
    assert classify_entry(code, "") == BrokerMisconfigured(code)


@pytest.mark.parametrize("relays", range(1, 9))
def test_all_lanes_are_shared_and_shares_differ_by_at_most_one(relays: int) -> None:
    shares = [share(rank, relays, LANES) for rank in range(relays)]
    assert sum(shares) == LANES
    assert max(shares) - min(shares) <= 1
