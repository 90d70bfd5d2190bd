"""The benchmark suite's arithmetic: turns, nulls, quantiles, the page and its plots."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.ratios import Ratio, compare
from benchmarks.suite import page
from benchmarks.suite.__main__ import PARTS
from benchmarks.suite.events import make_events
from benchmarks.suite.goals import GOALS, Goal
from benchmarks.suite.interleaving import Measures, interleaved
from benchmarks.suite.results import LatencyFound, NumberFound, RatioFound, Section
from benchmarks.suite.round_trips import CountedConnection, CountedServer
from benchmarks.suite.stored import Conditions, StoredPart, read, store
from event_trio.envelope import Envelope

CONDITIONS = Conditions("make bench", "0123456", ("one core",))


async def test_candidates_take_turns_and_neighbouring_runs_are_the_null() -> None:
    order: list[str] = []
    speeds = itertools.count(1)

    def run(name: str, factor: float) -> Measures:
        order.append(name)
        return {"rate": factor * next(speeds)}

    async def first() -> Measures:
        return run("a", 2.0)

    async def second() -> Measures:
        return run("b", 1.0)

    series = await interleaved("x", {"a": first, "b": second}, rounds=3, most_seconds=60, show="rate")
    assert "".join(order) == "abbaab"
    assert series.values("a", "rate") == [2.0, 8.0, 10.0]
    assert series.ratio(("a", "rate"), ("b", "rate")).median == pytest.approx(5 / 3)
    null = series.null("b", "rate")
    assert null is not None
    assert null.median == pytest.approx(2 / 3)
    assert null.pairs == 1
    assert series.null("c", "rate") is None


async def test_no_round_begins_when_the_time_is_over() -> None:
    async def run() -> Measures:
        return {"rate": 1.0}

    series = await interleaved("x", {"a": run}, rounds=5, most_seconds=-1, show="rate")
    assert len(series.rounds) == 1


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.0, 1)])
def test_quantiles_are_samples(share: float, value: float) -> None:
    assert LatencyFound("x", [float(n) for n in range(100, 0, -1)]).quantile(share) == value


def test_goals_are_judged() -> None:
    at_least, at_most = Goal("x", "relay", 2.5, at_least=True), Goal("y", "relay", 10_000, "1/s")
    assert at_least.met(2.5)
    assert not at_most.met(10_001)
    assert (str(at_least), str(at_most)) == ("≥ 2.5", "≤ 10,000 1/s")


def test_every_goal_belongs_to_a_part() -> None:
    assert {goal.part for goal in GOALS.values()} <= PARTS.keys()


def section() -> Section:
    return Section(
        "Part <one>",
        conditions=["10 events."],
        ratios=[RatioFound("a & b", compare([2.0, 2.2]), Ratio(1.0, 0.9, 1.1, 2), "relay-stock")],
        numbers=[NumberFound("calls", "1/event", [0.1, 0.3], "sns-calls"), NumberFound("none", "1/event", [])],
        latencies=[
            LatencyFound("taken <all>", [1.0, 5.0, 100.0], "publish-p50", "publish-p99", "chain"),
            LatencyFound("nothing", [], "idle-p50"),
        ],
    )


def test_goals_are_measured_by_medians_and_quantiles() -> None:
    assert section().measured() == {
        "relay-stock": pytest.approx(2.1),
        "sns-calls": pytest.approx(0.2),
        "publish-p50": 5.0,
        "publish-p99": 100.0,
    }


def test_the_page_and_its_plots_are_written(tmp_path: Path) -> None:
    (tmp_path / "ratios-gone.svg").touch()
    written = page.write(tmp_path, [StoredPart("relay", CONDITIONS, section())])
    plots = {"ratios-relay.svg", "latencies-chain.svg", "histogram-chain.svg"}
    assert {path.name for path in written} == {"results.md", *plots} == {path.name for path in tmp_path.iterdir()}
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| a & b | 2.1 | 2 to 2.2 | 1 (0.9 to 1.1) | 2 | ≥ 2.5 | no |" in text
    assert "| taken <all> | 3 | 5.0 | 100.0 | 100.0 | 100.0 | 100.0 | ≤ 5 ms, ≤ 15 ms | yes, no |" in text
    assert f"1 of {len(GOALS)} goals are met, 3 are missed, {len(GOALS) - 4} were not measured" in text
    assert all(f"| {goal.what} |" in text for goal in GOALS.values())
    for plot in plots:
        ElementTree.fromstring((tmp_path / plot).read_text(encoding="utf-8"))
    assert page.summary(section())[0] == "Part <one>:"


def test_a_part_is_read_as_it_was_stored_and_others_stay(tmp_path: Path) -> None:
    first, second = StoredPart("relay", CONDITIONS, section()), StoredPart("chain", CONDITIONS, Section("Chain"))
    for stored in (first, second, first):
        store(tmp_path, stored)
    assert read(tmp_path, ["chain", "relay", "orders"]) == [second, first]


@pytest.mark.parametrize("chunk", [1, 3, 10_000])
def test_statements_and_round_trips_are_counted_whatever_the_packets_are(chunk: int) -> None:
    def message(kind: bytes, content: bytes) -> bytes:
        return kind + (len(content) + 4).to_bytes(4, "big") + content

    startup = b"\x00\x03\x00\x00user\x00u\x00application_name\x00shop\x00\x00"
    asked = b"\x00\x00\x00\x08\x04\xd2\x16\x2f" + message(b"", startup)
    asked += message(b"Q", b"BEGIN;\x00") + message(b"P", b"\x00SELECT 1\x00\x00\x00")
    asked += message(b"B", b"E" * 20) + message(b"E", b"\x00\x00\x00\x00\x00") + message(b"S", b"")
    asked += message(b"Q", b"INSERT\x00") + message(b"Q", b"commit;\x00")
    answered = b"N" + message(b"Z", b"T") * 2 + message(b"D", b"Z") + message(b"Z", b"I")
    counted = CountedServer()
    connection = CountedConnection(counted)
    for begin in range(0, len(asked), chunk):
        connection.asked(asked[begin : begin + chunk])
    for begin in range(0, len(answered), chunk):
        connection.answered(answered[begin : begin + chunk])
    assert counted.statements == {"shop": 2}
    assert counted.round_trips == {"shop": 3}


def test_events_are_envelopes_in_the_order_of_their_groups() -> None:
    events = list(make_events(5, 2, 1, prefix="g"))
    assert [(each.group, each.sequence) for each in events] == [
        ("g-0", 1),
        ("g-1", 1),
        ("g-0", 2),
        ("g-1", 2),
        ("g-0", 3),
    ]
    assert [Envelope.parse(each.body).sequence_number for each in events] == [1, 1, 2, 2, 3]
