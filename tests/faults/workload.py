"""Clients that place and change orders, and retry under the same key until the outcome is known."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import httpx

from tests.faults.recording import Recorder

GIVE_UP_SECONDS = 45.0
RETRY_SECONDS = 0.1
CANARY = "xylophone"
"""A part of what customers write, which no log line, metric or readiness page may have."""
ORDER = {
    "customer_id": "customer-1",
    "recipient": f"{CANARY}@example.com",
    "locale": "ko",
    "currency": "EUR",
    "lines": [{"sku": "TEA-1", "quantity": 2, "unit_price": "12.50"}],
}
LIFE = ("confirm", "ship", "deliver")


class Client:
    """One client with a history of its own. Each operation has a key that nothing else has."""

    def __init__(self, name: str, url: str, folder: Path, dice: random.Random, pause: float) -> None:
        self._name = name
        self._url = url
        self._history = Recorder(folder / f"client-{name}.jsonl")
        self._dice = dice
        self._pause = pause
        self._count = 0
        self.succeeded = 0
        self.rejections: list[tuple[float, int]] = []
        """The times and statuses of responses with a server error."""

    async def run(self, stop: asyncio.Event, *, hot: bool) -> None:
        """Work until `stop`, then finish the operation that was begun. A hot client keeps changing one order."""
        async with httpx.AsyncClient(base_url=self._url, timeout=3.0) as api:
            while not stop.is_set():
                order = await self._operate(api, "/v1/orders", 201, ORDER)
                if order is None:
                    continue
                for action in self._actions(hot):
                    if stop.is_set():
                        break
                    await asyncio.sleep(self._pause * self._dice.uniform(0.5, 1.5))
                    body = {"reason": f"for {CANARY}"} if action == "hold" else None
                    if await self._operate(api, f"/v1/orders/{order}/{action}", 200, body) is None:
                        break  # the state of the order is not known
        self._history.close()

    def _actions(self, hot: bool) -> list[str]:
        if hot:
            return ["hold", "release"] * 10_000
        return list(LIFE[: self._dice.randint(0, 3)])

    async def _operate(self, api: httpx.AsyncClient, path: str, expected: int, body: object) -> str | None:
        """Ask until the outcome is known; returns the id of the order, or None."""
        self._count += 1
        key = f"{self._name}-{self._count}-{self._dice.getrandbits(48):012x}"
        self._history.write("invoke", key=key, path=path)
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = await api.post(
                    path, json=body, headers={"Idempotency-Key": key, "X-Correlation-ID": key}
                )  # fmt: skip
            except httpx.HTTPError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if answer.status_code == expected:
                order = answer.json()
                self._history.write("ok", key=key, group=order["id"], sequence=order["version"])
                self.succeeded += 1
                return str(order["id"])
            if answer.status_code >= 500:
                self.rejections.append((time.time(), answer.status_code))
            if answer.status_code >= 500 or (answer.status_code in (409, 429) and _is_in_progress(answer)):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._history.write("fail", key=key, status=answer.status_code)
            return None
        self._history.write("info", key=key)
        return None


def _is_in_progress(answer: httpx.Response) -> bool:
    return answer.status_code == 429 or "progress" in answer.text or "in-use" in answer.text
