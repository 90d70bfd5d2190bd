"""The events of the last release, as they are committed in `shared/event_trio/contracts/released`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from event_trio.contracts.payload import EventPayload
from event_trio.contracts.schema import EXTENSION, json_schema, schema_path
from event_trio.envelope import Envelope

ENVELOPE = "envelope.json"
FOLDER = Path(__file__).parents[2] / "shared" / "event_trio" / "contracts" / "released"


@dataclass(frozen=True, slots=True)
class PublishedSchema:
    """A version of an event: the schema of what publishers send, and that of what consumers accept.

    They differ where a model reads more than it writes: a price is sent as a string and accepted as a number, too.
    """

    sent: Mapping[str, Any]
    accepted: Mapping[str, Any]
    release: str = ""
    """The last release that published it; empty for a model in the code."""

    @classmethod
    def of(cls, payload: type[EventPayload]) -> PublishedSchema:
        """The schema of a model."""
        return cls(json_schema(payload), payload.model_json_schema(mode="validation"))

    @classmethod
    def of_envelope(cls, envelope: type[Envelope] = Envelope) -> PublishedSchema:
        """The schema of the envelope, which all events share."""
        return cls(envelope.model_json_schema(mode="serialization"), envelope.model_json_schema(mode="validation"))

    @property
    def declared(self) -> Mapping[str, Any]:
        """Type, version, owner and payload mode."""
        found: Mapping[str, Any] = self.sent[EXTENSION]
        return found

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Payloads of this version."""
        return list(self.sent["examples"])

    @property
    def deprecated(self) -> bool:
        """Whether a release may remove it."""
        return bool(self.sent.get("deprecated"))


def load(folder: Path = FOLDER) -> dict[str, PublishedSchema]:
    """The events of the last release by type and version: `order.placed/1`."""
    return {
        f"{path.parent.name}/{path.stem}": PublishedSchema(**json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*/*.json"))
    }


def load_envelope(folder: Path = FOLDER) -> PublishedSchema:
    """The envelope of the last release."""
    return PublishedSchema(**json.loads((folder / ENVELOPE).read_text(encoding="utf-8")))


def record(payloads: Iterable[type[EventPayload]], release: str, folder: Path = FOLDER) -> list[Path]:
    """Write the events of a release in place of those of the last one; returns the files that changed."""
    texts = {
        folder / f"{schema_path(payload)}.json": _text(PublishedSchema.of(payload), release) for payload in payloads
    }
    texts[folder / ENVELOPE] = _text(PublishedSchema.of_envelope(), release)
    changed = []
    for path in folder.glob("*/*.json"):
        if path not in texts:
            path.unlink()
            changed.append(path)
    for path, text in texts.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _text(schema: PublishedSchema, release: str) -> str:
    found = {"release": release, "sent": schema.sent, "accepted": schema.accepted}
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
