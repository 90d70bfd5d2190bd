"""The columns of the tables: the ways, in the order of the page."""

from __future__ import annotations

from comparisons.atomicity.saga import Choreography, Orchestration
from comparisons.atomicity.try_confirm_cancel import TryConfirmCancel
from comparisons.atomicity.two_phase_commit import TwoPhaseCommit
from comparisons.atomicity.uncoordinated import Uncoordinated
from comparisons.atomicity.ways import Way

COORDINATED: tuple[type[Way], ...] = (TwoPhaseCommit, TryConfirmCancel, Choreography, Orchestration)
WAYS: tuple[type[Way], ...] = (Uncoordinated, *COORDINATED)
COLUMNS = tuple(way.name for way in WAYS)
