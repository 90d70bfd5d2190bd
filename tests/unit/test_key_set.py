"""The key set is refreshed in the background: known keys never wait, and unknown ones cannot flood the source."""

import asyncio
import json

import jwt
import pytest

from event_trio.http import key_set
from event_trio.http.key_set import KeySet, UnknownKey
from event_trio.http.tokens import KeysUnavailable
from tests.support.tokens import Issuer
from tests.support.waiting import eventually

ISSUED_BY = Issuer()


class HangingSource:
    """A source that responds when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.text = ISSUED_BY.key_set()

    async def __call__(self) -> str:
        self.asked += 1
        await self.answers.wait()
        return self.text


class Watch:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def at_once(keys: KeySet, key_id: str = ISSUED_BY.key_id) -> jwt.PyJWK:
    """Run pending callbacks only."""
    async with asyncio.timeout(0.5):
        return await keys.find(key_id)


async def test_a_known_key_does_not_wait_for_a_hanging_source() -> None:
    source, watch = HangingSource(), Watch()
    keys = KeySet(source, watch)
    await keys.find(ISSUED_BY.key_id)
    source.answers.clear()
    for _ in range(3):
        watch.seconds += key_set.KEYS_FRESH_SECONDS + 1
        await asyncio.gather(*(at_once(keys) for _ in range(20)))
    assert source.asked == 2, "one reading at a time"
    source.answers.set()


async def test_only_tokens_with_an_unknown_key_wait() -> None:
    source, watch = HangingSource(), Watch()
    keys = KeySet(source, watch)
    await keys.find(ISSUED_BY.key_id)
    watch.seconds += key_set.KEYS_RETRY_SECONDS + 1
    source.answers.clear()
    strangers = [asyncio.create_task(keys.find(f"unknown-{number}")) for number in range(200)]
    await asyncio.gather(*(at_once(keys) for _ in range(20)))

    async def most_are_refused() -> bool:
        return sum(stranger.done() for stranger in strangers) == 200 - key_set.MOST_WAITERS

    await eventually(most_are_refused)
    source.answers.set()
    found = await asyncio.gather(*strangers, return_exceptions=True)
    assert {type(error) for error in found} == {UnknownKey}
    assert source.asked == 2


async def test_a_cancelled_request_does_not_cancel_the_refresh() -> None:
    source = HangingSource()
    source.answers.clear()
    keys = KeySet(source)
    first, second = (asyncio.create_task(keys.find(ISSUED_BY.key_id)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    source.answers.set()
    assert (await second).algorithm_name == "ES256"


async def test_a_source_that_hangs_from_the_start_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_set, "FETCH_SECONDS", 0.05)
    source = HangingSource()
    source.answers.clear()
    keys = KeySet(source)
    with pytest.raises(KeysUnavailable):
        await keys.find(ISSUED_BY.key_id)
    with pytest.raises(KeysUnavailable):
        await at_once(keys)
    assert source.asked == 1


@pytest.mark.parametrize(
    "odd", [None, 7, [], {}, {"kid": 7}, {"kid": "a"}, {"kid": "a", "kty": ["EC"]}, {"kid": "a", "kty": "EC", "x": 1}]
)
async def test_an_invalid_key_does_not_invalidate_the_others(odd: object) -> None:
    source = HangingSource()
    source.text = json.dumps({"keys": [odd, *json.loads(ISSUED_BY.key_set())["keys"]]})
    assert await KeySet(source).find(ISSUED_BY.key_id)
