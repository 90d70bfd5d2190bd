"""The garbage collector of a service is enabled before it serves, and leaves the imported modules out."""

import gc
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from event_trio import service
from event_trio.settings import ProcessSettings


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Nothing is left out of collections before the test; afterwards what stays is, as before it."""
    gc.unfreeze()
    yield
    gc.enable()
    gc.collect()
    gc.freeze()


async def startable(settings: ProcessSettings) -> None:
    """It always is."""


def test_it_is_enabled_before_a_service_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[bool, bool]] = []
    monkeypatch.setattr(service, "load", lambda kind: ProcessSettings.model_construct(otel_exporter_otlp_endpoint=None))
    monkeypatch.setattr("event_trio.observability.logging.configure", lambda *values, **options: None)
    monkeypatch.setattr(
        service, "serve", lambda app, settings: served.append((gc.isenabled(), gc.get_freeze_count() > 0))
    )
    gc.disable()
    service.run("any", ProcessSettings, lambda settings: FastAPI(), startable)
    assert served == [(True, True)]
