"""The templates for new services generate the templates of the existing services."""

import pytest

from infra import manifest
from infra.manifest import TemplateKind
from tests.support.cloudformation import Resolved
from tools.scaffold.writing import render

TOPICS = [template for template in manifest.load() if template.kind is TemplateKind.TOPIC]
CHECKS = [template for template in manifest.load() if template.kind is TemplateKind.PUBLISH_CHECK]
SUBSCRIBERS = [template for template in manifest.load() if template.kind is TemplateKind.SUBSCRIBER]


@pytest.mark.parametrize("template", TOPICS, ids=lambda template: template.name)
def test_a_topic_template(template: manifest.Template) -> None:
    service = template.topic.removesuffix("-events")
    assert template.body == render("topic", service=service, topic=template.topic)


@pytest.mark.parametrize("template", CHECKS, ids=lambda template: template.name)
def test_a_publish_check_template(template: manifest.Template) -> None:
    service = template.topic.removesuffix("-events")
    assert template.body == render("publish-check", service=service, topic=template.topic)


@pytest.mark.parametrize("template", SUBSCRIBERS, ids=lambda template: template.name)
def test_a_subscriber_template(template: manifest.Template) -> None:
    service = template.name.removesuffix(f"-{template.topic}")
    events = Resolved(manifest.TEMPLATES / f"{template.name}.yaml").only("SNS::Subscription")["FilterPolicy"]["type"]
    assert template.body == render("subscriber", service=service, topic=template.topic, events=events)


@pytest.mark.parametrize("service", ["order", "notification"])
def test_an_access_template(service: str) -> None:
    (template,) = [found for found in manifest.load(kinds={TemplateKind.ACCESS}) if found.name == f"access-{service}"]
    other = {"order": "notification-events", "notification": "order-events"}[service]
    assert template.body == render("access", service=service, publishes=f"{service}-events", subscribes=[other])
