"""What pages share beside the frame: remembered documents and sampled rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from ..api_clients.catalog import CatalogMemory
from ..api_clients.samples import MetricSampler


@dataclass(frozen=True, slots=True)
class PageState:
    """Set by `main` on `app.state.pages`."""

    catalog: CatalogMemory
    sampler: MetricSampler


async def page_state(request: Request) -> PageState:
    """What pages share."""
    return cast(PageState, request.app.state.pages)
