"""The bounds that the documents name are those of the code."""

from pathlib import Path

import pytest

from services.relay import group_sql
from services.relay.jobs import gauge, replay_requests, replays
from tests.support.sources import ROOT

OPERATE, EXPLAINED = Path("docs/how-to/operate-the-outbox.md"), Path("docs/explanation/outbox-and-relay.md")


@pytest.mark.parametrize(
    ("page", "signals"),
    [
        (OPERATE, f"{gauge.MOST:,} events that are not published"),
        (EXPLAINED, f"oldest {gauge.MOST:,} events that are not published"),
        (Path("docs/reference/metrics.md"), f"oldest {gauge.MOST:,}"),
        (Path("services/relay/operators/views.py"), f"oldest {gauge.MOST:,} not published"),
        (OPERATE, f"stops after {replay_requests.COUNTED:,} events"),
        (EXPLAINED, f"at most {replay_requests.COUNTED:,} events, and walks in steps of {replays.STEP:,}"),
        (OPERATE, f"keeps {group_sql.LOOKED_AT}\nevents or more"),
    ],
)
def test_the_documents_have_the_bounds_of_the_code(page: Path, signals: str) -> None:
    assert signals in (ROOT / page).read_text()
