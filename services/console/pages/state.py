"""What pages share beside the frame: remembered documents and sampled rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from ..api_clients.catalog import CatalogMemory
from ..api_clients.samples import MetricSampler
from ..views.links import PageLinks
from ..web.page import Page


@dataclass(frozen=True, slots=True)
class PageState:
    """Set by `main` on `app.state.pages`."""

    catalog: CatalogMemory
    sampler: MetricSampler


def links_of(page: Page) -> PageLinks:
    """The addresses of the pages that this person may open."""
    return PageLinks([section.name for section in page.sections], page.is_operator)


async def page_state(request: Request) -> PageState:
    """What pages share."""
    return cast(PageState, request.app.state.pages)
