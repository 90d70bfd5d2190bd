"""Checks the databases after a run: it reads tables and knows nothing of how a purchase was placed.

The tables `purchase`, `balance` and `movement` are all that it has in common with the ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import asyncpg

FINAL = {"accepted": 1, "rejected": 0}


class Broken(StrEnum):
    """What a run can break."""

    NOT_CONSERVED = "not conserved"
    """Money or stock appeared or vanished: the balance and its movements do not add up."""
    NOT_ATOMIC = "not atomic"
    """A purchase has one of its effects and not the other, or an effect although it was rejected."""
    REPEATED = "done twice"
    """Something was taken, or given back, more than once for a purchase."""
    STUCK = "stuck"
    """A purchase without a decision, a reservation that nobody ends, or a prepared transaction that is left."""
    ANSWER_BROKEN = "answer broken"
    """The client was promised something else, or its request is gone."""
    UNRESOLVED = "for a person"
    """The way itself says that it cannot finish: it shows, and a person has to decide."""


@dataclass(frozen=True)
class Expectation:
    """What a client asked for and was answered: None if there was no answer.

    `effects` are the name and the amount that an accepted purchase takes at each participant.
    """

    purchase: str
    effects: Mapping[str, tuple[str, int]]
    answered: bool | None


@dataclass(frozen=True)
class Violation:
    """Something that is not as it has to be."""

    kind: Broken
    what: str


async def check(
    databases: Mapping[str, asyncpg.Connection[asyncpg.Record]],
    expected: Sequence[Expectation],
    funded: Mapping[str, Mapping[str, int]],
    *,
    orders: str = "orders",
) -> list[Violation]:
    """Everything that is wrong with these purchases and these balances.

    `databases` are connections; all but `orders` are participants. `funded` are the balances' initial amounts.
    """
    states = await _states(databases[orders], [each.purchase for each in expected])
    found = [violation for each in expected for violation in _answers(each, states.get(each.purchase))]
    for participant, connection in databases.items():
        if participant != orders:
            found += await _participant(participant, connection, expected, states, funded[participant])
    return found


async def _states(connection: asyncpg.Connection[asyncpg.Record], purchases: Sequence[str]) -> dict[str, str]:
    rows = await connection.fetch("SELECT id, state FROM purchase WHERE id = ANY($1)", list(purchases))
    return {row["id"]: row["state"] for row in rows}


def _answers(expected: Expectation, state: str | None) -> list[Violation]:
    name = expected.purchase
    if state is None:
        return [Violation(Broken.ANSWER_BROKEN, f"{name} is gone")]
    if state == "pending":
        return [Violation(Broken.STUCK, f"{name} has no decision")]
    if state not in FINAL:
        return [Violation(Broken.UNRESOLVED, f"{name} is {state}")]
    if expected.answered is not None and expected.answered != bool(FINAL[state]):
        return [Violation(Broken.ANSWER_BROKEN, f"{name} is {state}, and its client was answered otherwise")]
    return []


async def _participant(
    participant: str,
    connection: asyncpg.Connection[asyncpg.Record],
    expected: Sequence[Expectation],
    states: Mapping[str, str],
    funded: Mapping[str, int],
) -> list[Violation]:
    balances = await connection.fetch("SELECT * FROM balance WHERE name = ANY($1)", list(funded))
    moved = await connection.fetch("SELECT * FROM movement WHERE name = ANY($1)", list(funded))
    prepared = await connection.fetch("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
    found: list[Violation] = []
    for row in balances:
        name = row["name"]
        total = row["available"] + row["reserved"] - sum(each["amount"] for each in moved if each["name"] == name)
        if total != funded[name]:
            found.append(Violation(Broken.NOT_CONSERVED, f"{participant}: {name} is {total}, was {funded[name]}"))
        if row["reserved"]:
            found.append(Violation(Broken.STUCK, f"{participant}: {row['reserved']} of {name} are reserved"))
    for each in expected:
        amounts = [row["amount"] for row in moved if row["purchase"] == each.purchase]
        found += _effects(participant, each, amounts, states.get(each.purchase))
        found += [
            Violation(Broken.STUCK, f"{participant}: {row['gid']} is prepared")
            for row in prepared
            if row["gid"].endswith(f"-{each.purchase}")
        ]
    return found


def _effects(participant: str, expected: Expectation, amounts: Sequence[int], state: str | None) -> list[Violation]:
    name, found = expected.purchase, list[Violation]()
    taken, returned = [x for x in amounts if x < 0], [x for x in amounts if x > 0]
    if len(taken) > 1 or len(returned) > 1:
        found.append(Violation(Broken.REPEATED, f"{participant}: {name} moved {list(amounts)}"))
    wanted = -expected.effects[participant][1] * FINAL.get(state or "", 0)
    if sum(amounts) != wanted:
        found.append(Violation(Broken.NOT_ATOMIC, f"{participant}: {name} is {state}, and moved {list(amounts)}"))
    return found
