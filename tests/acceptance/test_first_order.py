"""The commands that place the first order work as the page shows them, and return the answers that it shows."""

import asyncio
import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.support.documents import Page, page
from tests.support.trio import SystemEnvironment, Trio, relay
from tests.support.waiting import eventually

# Differs from run to run. Everything else has to equal the page.
CHANGING = re.compile(r"(^|_)id$|_at$")
KEPT = {"customer_id"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands need curl")


@pytest.fixture
def ground(ground: SystemEnvironment) -> SystemEnvironment:
    """The processes start as a user's do."""
    return replace(ground, forked=False)


async def test_the_first_order_is_answered_as_the_page_shows(services: Trio, ground: SystemEnvironment) -> None:
    place, *looks = curls(page("docs/how-to/run-the-demo.md"))
    placed = json.loads(await run(place[0], services))
    assert shape(placed) == shape(json.loads(place[1]))
    written_id = json.loads(place[1])["id"]
    async with relay(ground):
        for command, answer in looks:
            here = command.replace(written_id, placed["id"])
            assert here != command, "the command names no order"

            async def as_written(command: str = here, answer: str = answer) -> bool:
                found = json.loads(await run(command, services))
                if answer:
                    assert shape(found) == shape(json.loads(answer))
                return bool(found["items"])

            await eventually(as_written, timeout=30)


async def run(command: str, services: Trio) -> str:
    """Run a command of the page unchanged except for the ports."""
    for port, api in (("8000", services.order), ("8001", services.notification)):
        command = command.replace(f"http://127.0.0.1:{port}", str(api.base_url).rstrip("/"))
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0, command
    return output.decode()


def curls(found: Page) -> list[tuple[str, str]]:
    """Each `curl` of a page, with the answer that follows it or an empty string."""
    blocks = [*found.blocks, None]
    return [
        (block.text, after.text if after and after.language == "json" else "")
        for block, after in pairwise(blocks)
        if block and block.language == "sh" and block.text.startswith("curl ")
    ]


def shape(value: Any, key: str = "") -> Any:
    """The value, with types in place of values that differ from run to run."""
    if isinstance(value, dict):
        return {name: shape(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner, key) for inner in value]
    if CHANGING.search(key) and key not in KEPT:
        return type(value).__name__
    return UUID.sub("an id", value) if isinstance(value, str) else value


def test_the_shape_keeps_constant_values_and_replaces_others() -> None:
    link = "http://127.0.0.1/v1/orders/019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"
    written = {"id": "1", "customer_id": "ada", "placed_at": "x", "lines": [{"quantity": 2}], "link": link}
    assert shape({**written, "id": "2", "placed_at": "y", "link": link.replace("9", "8")}) == shape(written)
    assert shape({**written, "link": link.replace("orders", "order")}) != shape(written)
    assert shape({**written, "customer_id": "bob"}) != shape(written)
    assert shape({**written, "lines": [{"quantity": 3}]}) != shape(written)
    assert shape({**written, "more": 1}) != shape(written)
    assert shape({**written, "placed_at": None}) != shape(written)
