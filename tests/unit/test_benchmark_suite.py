"""The benchmark suite's arithmetic: turns, nulls, quantiles, the page and its plots."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.ratios import Ratio, compare
from benchmarks.suite import page
from benchmarks.suite.events import make_events
from benchmarks.suite.interleaving import Measures, interleaved
from benchmarks.suite.results import Goal, LatencyFound, NumberFound, RatioFound, Section
from event_trio.envelope import Envelope


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
    assert Goal(2.5, at_least=True).met(2.5)
    assert not Goal(0.1).met(0.2)
    assert (str(Goal(2.5, at_least=True)), str(Goal(0.1))) == ("≥ 2.5", "≤ 0.1")


def test_the_page_and_its_plots_are_written(tmp_path: Path) -> None:
    section = Section(
        "Part <one>",
        conditions=["10 events."],
        ratios=[RatioFound("a & b", compare([2.0, 2.2]), Ratio(1.0, 0.9, 1.1, 2), Goal(2.5, at_least=True))],
        numbers=[NumberFound("calls", "1/event", [0.1]), NumberFound("none", "1/event", [])],
        latencies=[
            LatencyFound("taken <all>", [1.0, 5.0, 100.0], Goal(5), Goal(50), "chain"),
            LatencyFound("nothing", []),
        ],
    )
    written = page.write(tmp_path, [section], ["one core"], "make bench")
    assert {path.name for path in written} == {"results.md", "ratios.svg", "latencies-chain.svg"}
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| a & b | 2.1 | 2 to 2.2 | 1 (0.9 to 1.1) | 2 | ≥ 2.5 | no |" in text
    assert "| taken <all> | 3 | 5.0 | 100.0 | 100.0 | 100.0 | 100.0 | ≤ 5, ≤ 50 | yes, no |" in text
    for plot in ("ratios.svg", "latencies-chain.svg"):
        ElementTree.fromstring((tmp_path / plot).read_text(encoding="utf-8"))
    assert page.summary(section)[0] == "Part <one>:"


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
