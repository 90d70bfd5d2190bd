"""Numbers in the prose of pages, and the kinds of evidence for them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from benchmarks.baseline import baseline
from infra.manifest import TEMPLATES
from tests.support.alerts import COMPARISON, alerts
from tests.support.cloudformation import Resolved
from tests.support.documents import Page, prose

WRITTEN = re.compile(r"<!-- (fault run|soak|mutants|compare [a-z0-9-]+): begin -->.*?<!-- \1: end -->", re.DOTALL)
TO_TEN = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
TO_TWENTY = ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
WORDS = {
    **{word: float(number) for number, word in enumerate((*TO_TEN, *TO_TWENTY, "twenty"), 1)},
    **{"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "twice": 2, "half": 0.5, "a": 1, "an": 1},
}
ORDINALS = {"second": 2, "third": 3, "fourth": 4, "fifth": 5}
LARGE = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
SCALES = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "second", "seconds"), 1),
    **dict.fromkeys(("min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **{"KB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2},
}
# "One" is not a number here: "one event of a group" is a rule and not a measure.
DIGITS = r"\d[\d,]*(?:\.\d+)?"
NAMES = "|".join(word for word in WORDS if word not in {"one", "a", "an", "half"})
NUMBER = rf"(?:(?:{DIGITS}|\b(?:{NAMES})\b)(?: (?:{'|'.join(LARGE)})\b)?)"
TIME = "|".join(sorted((name for name in SCALES if name[0].islower()), key=len, reverse=True))
THING = (
    "bytes times? connections? calls? messages attempts lanes events characters groups rows pages statements requests "
    "answers entries attributes orders trips receives pairs lines deliveries transactions steps"
).replace(" ", "|")
UNIT = rf"(?:(?:{TIME}|KiB|MiB|KB|MB|GB|{THING})\b|%)"
BETWEEN = r"(?:(?!(?:and|or|of|in|the|with|for|after|at|to|a|once|is|are|as|this|that|other|relays)\b)[a-zA-Z]+ )?"
FOUND = re.compile(
    "|".join(
        (
            rf"(?P<rate>{NUMBER})(?: [a-z]+)? a second\b",
            rf"(?P<low>{NUMBER}) to (?P<high>{NUMBER}) (?P<range>{UNIT})",
            rf"(?P<number>{NUMBER})[ -]?{BETWEEN}(?P<unit>{UNIT})",
            r"\b(?P<single>half a|half|an?) (?P<time>minute|hour)\b",
            r"\b(?P<part>half a) second\b",
            r"\b(?:within|about|for|than|after|every|least|most) (?P<one>a) second\b(?! relay)",
            r"\b(?P<ordinal>second|third|fourth|fifth) (?:such )?(?:delivery|start|attempt)\b",
            r"\ba (?P<share>half|third|fifth)(?=[.,;])",
            rf"\b(?P<much>{DIGITS}|half an?|an?|five) (?P<large>{'|'.join(LARGE)})\b",
            r"(?P<big>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)? M\b|\$\d+\.\d+|(?<=up to )\d+\b|\d+(?=/s\b))",
        )
    ),
    re.IGNORECASE,
)
STARTS = re.compile(r"(?<![\w.,:/-])$")


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its unit and its position in the plain text of a page. Times are in seconds."""

    text: str
    begin: int
    end: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """A constant or default in the code: the values of the numbers in the phrase, in their order."""

    phrase: str
    values: tuple[float, ...]

    def __init__(self, phrase: str, *values: float) -> None:
        object.__setattr__(self, "phrase", phrase)
        object.__setattr__(self, "values", values)


@dataclass(frozen=True, slots=True)
class Aws:
    """A documented property of AWS, with its source."""

    phrase: str
    source: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of a command: a module, a make target or a test."""

    phrase: str
    command: str


@dataclass(frozen=True, slots=True)
class Example:
    """A number that has nothing to be compared with: the output of one run, arithmetic, an example."""

    phrase: str
    what: str


Entry = Code | Aws | Measured | Example


def plain(text: str) -> str:
    """Prose without code spans, link targets and line breaks."""
    return re.sub(r"\s+", " ", re.sub(r"\]\([^)\s]*\)", "]", re.sub(r"`[^`\n]*`", "`", text)))


def numbers(text: str) -> Iterator[Number]:
    """The numbers in a plain text."""
    at = 0
    while found := FOUND.search(text, at):
        if not STARTS.search(text[: found.start()]):
            at = found.start() + 1
            continue
        yield Number(found[0], found.start(), found.end(), tuple(_values(found)))
        at = found.end()


def of_page(page: Page) -> str:
    """The plain prose of a page, without tables that a command writes between marks."""
    return plain(prose(WRITTEN.sub("", page.text)))


def default(settings: type[BaseModel], name: str) -> float:
    """The default of a setting."""
    return float(settings.model_fields[name].default)


def attribute(template: str, queue: str, name: str) -> float:
    """An attribute of a queue in a template."""
    return float(dict(_template(template).resources("SQS::Queue"))[queue][name])


def most_receives(template: str) -> float:
    """The maxReceiveCount of a queue in a template."""
    return float(dict(_template(template).resources("SQS::Queue"))["Queue"]["RedrivePolicy"]["maxReceiveCount"])


def alarm(template: str, name: str) -> tuple[float, float]:
    """The threshold of an alarm, and the seconds for which it has to be exceeded."""
    found = dict(_template(template).resources("CloudWatch::Alarm"))[name]
    return float(found["Threshold"]), float(found["Period"]) * float(found["EvaluationPeriods"])


def threshold(metric: str) -> float:
    """The threshold of an alerting rule."""
    (found,) = (
        found for alert in alerts().values() if (found := COMPARISON.fullmatch(alert.expression)) and found[1] == metric
    )
    return float(found[3])


def cost(part: str, name: str) -> float:
    """A count from the baseline."""
    return float(baseline(part)[name])


def _template(name: str) -> Resolved:
    topic = "arn:aws:sns:us-east-1:000000000000:on-call"
    return Resolved(TEMPLATES / f"{name}.yaml", Prefix="", Throughput="high", AlarmTopic=topic)


def _values(found: re.Match[str]) -> Iterator[float]:
    unit = found["range"] or found["unit"] or found["time"] or ("second" if found["part"] or found["one"] else "")
    scale = SCALES.get(unit, SCALES.get(unit.lower(), 1))
    if found["ordinal"] or found["share"]:
        place = ORDINALS.get((found["ordinal"] or found["share"]).lower(), 2)
        yield place if found["ordinal"] else 1 / place
    for name in ("rate", "low", "high", "number", "single", "part", "one", "much", "big"):
        if found[name]:
            yield _number(found[name]) * scale * LARGE.get((found["large"] or "").lower(), 1)


def _number(text: str) -> float:
    first, *more = text.lower().lstrip("$").replace(",", "").split()
    value = WORDS[first] if first in WORDS else float(first)
    return value * LARGE.get(more[0], 1) if more else value
