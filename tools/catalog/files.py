"""The generated files of the catalog: documents, schemas, page and drawing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from event_trio.catalog.flow import merge
from event_trio.contracts.schema import json_schema, schema_path
from tools.catalog import document, drawing, page
from tools.catalog.discovery import services

REFERENCE = "docs/reference"
SCHEMAS = f"{REFERENCE}/schemas"


def render() -> Mapping[str, str]:
    """The content of each file, by its path from the root of the project. Raises ConfigurationError."""
    found = services()
    documents = {service.service: document.document(service) for service in found}
    flow = merge(documents.values())
    return {
        **{f"services/{name}/asyncapi.json": as_text(value) for name, value in documents.items()},
        **{
            f"{SCHEMAS}/{schema_path(event)}.json": as_text(json_schema(event))
            for service in found
            for event in service.events
        },
        f"{REFERENCE}/catalog.json": as_text(asdict(flow)),
        f"{REFERENCE}/catalog.svg": drawing.render(flow),
        f"{REFERENCE}/catalog.md": page.render(flow),
    }


def written(root: Path) -> set[str]:
    """The files that an earlier run may have written, so that those of removed events and services are found."""
    patterns = (f"{SCHEMAS}/*/*.json", "services/*/asyncapi.json")
    return {path.relative_to(root).as_posix() for pattern in patterns for path in root.glob(pattern)}


def as_text(value: object) -> str:
    """A JSON document as the text of its file."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
