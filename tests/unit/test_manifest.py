"""The metadata of templates: order of deployment, dependants, and errors."""

from pathlib import Path

import pytest

from event_trio.errors import ConfigurationError
from infra.manifest import BROKER, TEMPLATES, TemplateKind, dependants, load

SOME = (
    "order-events",
    "notification-events",
    "notification-order-events",
    "order-events-publish-check",
    "notification-events-publish-check",
)


def template(folder: Path, name: str, metadata: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f"Metadata:\n{metadata}Parameters:\n  Prefix: {{Type: String}}\nResources: {{A: !Ref Prefix}}\n")
    return path


def described(kind: str, topic: str) -> str:
    return f"  EventTrio:\n    Kind: {kind}\n    Topic: {topic}\n"


def test_topics_come_first_and_publish_checks_last() -> None:
    kinds = [found.kind for found in load()]
    assert kinds == sorted(kinds, key=[TemplateKind.TOPIC, TemplateKind.SUBSCRIBER, TemplateKind.PUBLISH_CHECK].index)
    assert set(kinds) == BROKER


def test_a_new_template_needs_no_code(tmp_path: Path) -> None:
    paths = [
        template(tmp_path, "billing-order-events", described("subscriber", "order-events")),
        template(tmp_path, "order-events", described("topic", "order-events")),
    ]
    assert [found.name for found in load(paths)] == ["order-events", "billing-order-events"]


@pytest.mark.parametrize(
    ("missing", "recreated"),
    [
        (["order-events"], ["order-events", "notification-order-events", "order-events-publish-check"]),
        (["notification-order-events"], ["notification-order-events", "order-events-publish-check"]),
        (["order-events-publish-check"], ["order-events-publish-check"]),
        (["notification-events"], ["notification-events", "notification-events-publish-check"]),
        ([], []),
    ],
)
def test_later_templates_of_the_same_topic_are_dependants(missing: list[str], recreated: list[str]) -> None:
    some = load(TEMPLATES / f"{name}.yaml" for name in SOME)
    assert [found.name for found in dependants(some, missing)] == recreated


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("  Other: {}\n", "EventTrio"),
        (described("queue", "order-events"), "Kind"),
        ("  EventTrio: {Kind: topic}\n", "Topic"),
        ("  EventTrio: {Kind: topic, Topic: x, Colour: red}\n", "Colour"),
        ("  {{{\n", "not YAML"),
    ],
)
def test_a_template_with_invalid_metadata_is_named(tmp_path: Path, metadata: str, message: str) -> None:
    path = template(tmp_path, "broken", metadata)
    with pytest.raises(ConfigurationError, match=r"broken\.yaml.*" + message):
        load([path])


def test_a_template_of_an_unknown_topic_is_named(tmp_path: Path) -> None:
    paths = [
        template(tmp_path, "order-events", described("topic", "order-events")),
        template(tmp_path, "billing", described("subscriber", "order-event")),
    ]
    with pytest.raises(ConfigurationError, match=r"billing.*did you mean 'order-events'"):
        load(paths)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.yaml cannot be read"):
        load([tmp_path / "absent.yaml"])
