"""A change of a published event is allowed, or rejected with what it breaks for whom."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from event_trio import __version__
from event_trio.contracts.payload import PERSONAL_DATA, EventPayload, PayloadMode
from event_trio.envelope import Envelope
from tools.catalog import check, released
from tools.catalog.check import message
from tools.catalog.compatibility import broken_envelope, broken_events
from tools.catalog.released import PublishedSchema

OLD = "consumers of the last release"
NEW = "new consumers"


class Part(BaseModel):
    sku: str = Field(examples=["TEA-1"])


class Payment(EventPayload):
    """The event as it was released."""

    type: ClassVar[str] = "payment.taken"
    owner: ClassVar[str] = "payment"

    amount: str = Field(description="The amount.", examples=["1.00"])
    method: Literal["card", "cash"] = Field(examples=["card"])
    note: str = Field("", max_length=20, examples=["first"])
    parts: list[Part]


RELEASED = {
    "payment.taken/1": PublishedSchema(PublishedSchema.of(Payment).sent, PublishedSchema.of(Payment).accepted, "1")
}


class WithOptionalField(Payment):
    """The event as it was released."""

    tip: str | None = Field(None, description="A tip.", examples=["0.10"])


class WithOtherDescription(Payment):
    """Somebody paid."""

    amount: str = Field(description="What was paid.", examples=["2.00"], json_schema_extra=PERSONAL_DATA)


class SecondVersion(Payment):
    """Everything may be different."""

    version: ClassVar[int] = 2
    amount: int = Field(examples=[1])  # type: ignore[assignment]


class Other(EventPayload):
    """A new event."""

    type: ClassVar[str] = "payment.returned"
    owner: ClassVar[str] = "payment"


class Deprecated(Payment):
    deprecated: ClassVar[bool] = True


@pytest.mark.parametrize(
    "declared",
    [
        [Payment],
        [WithOptionalField],
        [WithOtherDescription],
        [Payment, SecondVersion],
        [Payment, Other],
        [Deprecated],
    ],
    ids=lambda declared: declared[-1].__name__,
)
def test_an_allowed_change_breaks_nothing(declared: list[type[EventPayload]]) -> None:
    assert broken_events(RELEASED, declared) == []


class WithRequiredField(Payment):
    currency: str = Field(examples=["EUR"])


class WithoutField(EventPayload):
    type: ClassVar[str] = "payment.taken"
    owner: ClassVar[str] = "payment"
    method: Literal["card", "cash"] = Field(examples=["card"])
    note: str = Field("", max_length=20, examples=["first"])
    parts: list[Part]


class WithoutOptionalField(EventPayload):
    type: ClassVar[str] = "payment.taken"
    owner: ClassVar[str] = "payment"
    amount: str = Field(examples=["1.00"])
    method: Literal["card", "cash"] = Field(examples=["card"])
    parts: list[Part]


class WithOptionalAmount(Payment):
    amount: str = Field("0", examples=["1.00"])


class WithRequiredNote(Payment):
    note: str = Field(max_length=20, examples=["first"])


class WithOtherType(Payment):
    amount: int = Field(examples=[1])  # type: ignore[assignment]


class WithMoreMethods(Payment):
    method: Literal["card", "cash", "coin"] = Field(examples=["card"])  # type: ignore[assignment]


class WithFewerMethods(Payment):
    method: Literal["card"] = Field(examples=["card"])


class WithShorterNote(Payment):
    note: str = Field("", max_length=10, examples=["first"])


class WithLongerNote(Payment):
    note: str = Field("", max_length=30, examples=["first"])


class WithPattern(Payment):
    amount: Annotated[str, Field(pattern="^[0-9.]+$", examples=["1.00"])]


class WithNull(Payment):
    amount: str | None = Field(examples=["1.00"])  # type: ignore[assignment]


class BiggerPart(BaseModel):
    sku: str = Field(examples=["TEA-1"])
    weight: int = Field(examples=[1])


class WithOtherParts(Payment):
    parts: list[BiggerPart]  # type: ignore[assignment]


class WithAnotherOwner(Payment):
    owner: ClassVar[str] = "billing"


class WithReference(Payment):
    payload_mode: ClassVar[PayloadMode] = PayloadMode.DATA_OR_DATAREF


class WithValidator(Payment):
    @field_validator("amount")
    @classmethod
    def _is_round(cls, amount: str) -> str:
        if amount == "1.00":
            raise ValueError("too little")
        return amount


@pytest.mark.parametrize(
    ("declared", "path", "change", "sides"),
    [
        (WithRequiredField, "currency", "is new and required", {NEW}),
        (WithoutField, "amount", "was removed", {OLD}),
        (WithoutOptionalField, "note", "was removed", {OLD}),
        (WithOptionalAmount, "amount", "is no longer required", {OLD}),
        (WithRequiredNote, "note", "became required", {NEW}),
        (WithOtherType, "amount", "has another type: integer instead of string", {OLD, NEW}),
        (WithMoreMethods, "method", "has another enum", {OLD}),
        (WithFewerMethods, "method", "has another", {NEW}),
        (WithShorterNote, "note", "has another maxLength: 10 instead of 20", {NEW}),
        (WithLongerNote, "note", "has another maxLength: 30 instead of 20", {OLD}),
        (WithPattern, "amount", "has another pattern", {NEW}),
        (WithNull, "amount", "has another", {OLD}),
        (WithOtherParts, "parts[].weight", "is new and required", {NEW}),
        (WithAnotherOwner, "", "has the owner 'billing' instead of 'payment'", set()),
        (WithReference, "", "may have `dataref` instead of `data`", {OLD}),
        (WithValidator, "amount", "does not accept the sample of the last release: Value error, too little", {NEW}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_breaking_change_is_found(declared: type[EventPayload], path: str, change: str, sides: set[str]) -> None:
    (broken,) = broken_events(RELEASED, [declared])
    matching = [found for found in broken.breaks if found.path == path and found.change.startswith(change)]
    assert matching, broken.breaks
    assert {side for found in broken.breaks for side in (OLD, NEW) if side in " ".join(found.effects)} >= sides


def test_a_version_may_be_removed_after_a_release_that_deprecated_it() -> None:
    (broken,) = broken_events(RELEASED, [])
    assert broken.breaks[0].change == "was removed, and the last release does not declare it deprecated"
    schema = PublishedSchema.of(Deprecated)
    assert broken_events({"payment.taken/1": schema}, []) == []


def test_the_message_names_what_broke_for_whom_and_the_way_to_do_it() -> None:
    (broken,) = broken_events(RELEASED, [WithOtherType])
    text = message(broken)
    for part in (
        "version 1 of payment.taken is published (release 1), and this change breaks it",
        "`amount` has another type: integer instead of string",
        "Consumers of the last release reject the events of new publishers",
        "New consumers reject the events of the last release",
        'a class with `type = "payment.taken"` and `version: ClassVar[int] = 2`',
        "docs/how-to/change-an-event.md",
    ):
        assert part in " ".join(text.split())


def test_the_message_of_a_removal_says_how_to_remove() -> None:
    (broken,) = broken_events(RELEASED, [])
    assert "`deprecated: ClassVar[bool] = True`" in message(broken)


class WithAttribute(Envelope):
    tenant: str = "none"


class WithRequiredAttribute(Envelope):
    tenant: str


class WithoutPattern(Envelope):
    sequence: str


def test_the_envelope_may_get_optional_attributes_only() -> None:
    old = PublishedSchema(PublishedSchema.of_envelope().sent, PublishedSchema.of_envelope().accepted, "1")
    assert broken_envelope(old) == []
    assert broken_envelope(old, WithAttribute) == []
    for changed, path in ((WithRequiredAttribute, "tenant"), (WithoutPattern, "sequence")):
        (broken,) = broken_envelope(old, changed)
        assert path in [found.path for found in broken.breaks]
        assert "the envelope of all events is published (release 1)" in message(broken)


def test_the_command_reports_a_break_and_records_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded: list[object] = []

    def record(*arguments: object) -> list[Path]:
        recorded.append(arguments)
        return []

    monkeypatch.setattr(released, "load", lambda: RELEASED)
    monkeypatch.setattr(released, "record", record)
    monkeypatch.setattr(check, "declared_events", lambda: [WithOtherType])
    assert check.run(["--record"]) == 1
    assert "`amount` has another type" in capsys.readouterr().err
    assert recorded == []
    monkeypatch.setattr(check, "declared_events", lambda: [WithOptionalField])
    assert (check.run([]), recorded) == (0, [])
    assert check.run(["--record"]) == 0
    assert recorded == [([WithOptionalField], __version__)]
    assert capsys.readouterr().err == ""


def test_a_release_replaces_the_last_one(tmp_path: Path) -> None:
    assert len(released.record([Payment, Other], "1", tmp_path)) == 3
    assert released.record([Payment, Other], "1", tmp_path) == []
    assert {path.name for path in released.record([Payment], "1", tmp_path)} == {"1.json"}
    assert set(released.load(tmp_path)) == {"payment.taken/1"}
    assert released.load(tmp_path)["payment.taken/1"].release == "1"
    assert broken_events(released.load(tmp_path), [Payment]) == []
    assert broken_envelope(released.load_envelope(tmp_path)) == []


class WithoutExample(Payment):
    tip: str = Field("")
    extra: str


def test_a_field_without_an_example_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(released, "load", lambda: RELEASED)
    monkeypatch.setattr(check, "declared_events", lambda: [WithoutExample])
    assert check.run([]) == 1
    assert "payment.taken.extra has no example" in capsys.readouterr().err
