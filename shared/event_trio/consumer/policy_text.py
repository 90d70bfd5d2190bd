"""Failure policies as text, in the form that the setting FAILURE_POLICIES reads."""

from __future__ import annotations

from .policies import DeadLetter, FailurePolicy, FinalPolicy, Ignore, Rest, Retry, RetryInPlace


def policy_text(policy: FailurePolicy) -> str:
    """`retry(attempts=8, delay=1, unit=seconds, backoff=3, rest=wait) then publish_failure`.

    `retry_in_place(within=60)`, the default of a handler, exists in code only; the setting does not read it.
    """
    if isinstance(policy, RetryInPlace):
        return f"retry_in_place(within={policy.within:g}) then {_final(policy.then)}"
    if isinstance(policy, Retry):
        delay = f"delay={policy.delay:g}, unit={policy.unit.name.lower()}, backoff={policy.backoff:g}"
        return f"retry(attempts={policy.attempts}, {delay}, rest={policy.rest}) then {_final(policy.then)}"
    return _final(policy)


def _final(policy: FinalPolicy) -> str:
    if isinstance(policy, DeadLetter):
        return "dead_letter" if policy.rest is Rest.PASS else f"dead_letter(rest={policy.rest})"
    return "ignore" if isinstance(policy, Ignore) else "publish_failure"
