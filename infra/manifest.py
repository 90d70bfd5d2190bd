"""The templates of the topology, described by their own metadata, in the order of deployment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal

from event_trio.errors import ConfigurationError
from event_trio.settings import suggest
from infra.template_yaml import parse

TEMPLATES = Path(__file__).parent / "templates"


class TemplateKind(StrEnum):
    """What a template declares; the order of the kinds is the order of deployment.

    The publish checks are deployed last: LocalStack delivers to the subscribers of a topic in the order of their
    subscription, and an event that arrives in the check queue must already have been delivered to the others.
    """

    TOPIC = "topic"
    SUBSCRIBER = "subscriber"
    PUBLISH_CHECK = "publish-check"
    ACCESS = "access"

    @property
    def rank(self) -> int:
        """The position in the order of deployment."""
        return list(TemplateKind).index(self)


# The resources of the broker. Access is managed by IAM, which LocalStack does not enforce.
BROKER = frozenset({TemplateKind.TOPIC, TemplateKind.SUBSCRIBER, TemplateKind.PUBLISH_CHECK})


@dataclass(frozen=True, slots=True)
class Template:
    """A template file. The name of its stack ends with its name."""

    name: str
    kind: TemplateKind
    topic: str
    body: str
    parameters: frozenset[str]


def load(paths: Iterable[Path] | None = None, *, kinds: Collection[TemplateKind] = BROKER) -> tuple[Template, ...]:
    """Read the templates of some kinds, by default in `infra/templates`, in the order of deployment.

    Raises ConfigurationError, naming the file, when one cannot be read or has no valid metadata.
    """
    files = sorted(TEMPLATES.glob("*.yaml")) if paths is None else list(paths)
    found = sorted((_read(path) for path in files), key=lambda template: (template.kind.rank, template.name))
    topics = [template.topic for template in found if template.kind is TemplateKind.TOPIC]
    for template in found:
        if template.topic not in topics:
            raise ConfigurationError(
                f"template {template.name} belongs to the topic {template.topic!r}, which no template declares; "
                f"{suggest(template.topic, topics)}"
            )
    return tuple(template for template in found if template.kind in kinds)


def dependants(templates: Sequence[Template], names: Iterable[str]) -> tuple[Template, ...]:
    """The named templates and those deployed after one of them for the same topic, in the order of deployment.

    A subscription is deleted with its topic, and a publish check has to be the last to subscribe. The relay detects a
    recreated check queue, and publishes the lost events again.
    """
    first_rank: dict[str, int] = {}
    wanted = set(names)
    for template in templates:
        if template.name in wanted:
            first_rank[template.topic] = min(template.kind.rank, first_rank.get(template.topic, template.kind.rank))
    return tuple(
        template
        for template in templates
        if template.name in wanted or template.kind.rank > first_rank.get(template.topic, template.kind.rank)
    )


class _Description(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal, extra="forbid")

    kind: TemplateKind
    topic: str = Field(min_length=1)


class _Metadata(BaseModel):
    description: _Description = Field(alias="EventTrio")


class _Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal)

    metadata: _Metadata
    parameters: dict[str, object] = {}


def _read(path: Path) -> Template:
    try:
        body = path.read_text(encoding="utf-8")
        document = _Document.model_validate(parse(body))
    except OSError as error:
        raise ConfigurationError(f"template {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"template {path} is not YAML: {error}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the document"
        raise ConfigurationError(f"template {path}: {where}: {problem['msg']}") from error
    described = document.metadata.description
    return Template(path.stem, described.kind, described.topic, body, frozenset(document.parameters))
