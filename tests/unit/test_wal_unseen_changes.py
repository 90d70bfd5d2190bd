"""What the log has shown is announced when a snapshot sees it, too."""

import pytest

from services.relay.wal.unseen_changes import XIDS, Snapshot, UnseenChanges


@pytest.mark.parametrize(
    ("text", "xid", "seen"),
    [
        ("10:20:", 9, True),
        ("10:20:", 15, True),
        ("10:20:10,15", 15, False),
        ("10:20:10,15", 14, True),
        ("10:20:10", 20, False),
        ("10:20:10", 21, False),
        # Behind the end of 32 bits.
        (f"{XIDS + 5}:{XIDS + 5}:", XIDS - 3, True),
        (f"{XIDS - 3}:{XIDS + 5}:{XIDS - 3},{XIDS + 2}", XIDS - 3, False),
        (f"{XIDS - 3}:{XIDS + 5}:{XIDS - 3},{XIDS + 2}", 2, False),
        (f"{XIDS - 3}:{XIDS + 5}:{XIDS - 3},{XIDS + 2}", 3, True),
        (f"{XIDS - 3}:{XIDS - 2}:", 1, False),
    ],
)
def test_a_snapshot_sees_what_has_ended_before_it(text: str, xid: int, seen: bool) -> None:
    assert Snapshot.parse(text).sees(xid) is seen


def test_groups_are_taken_in_the_order_of_their_commits_once_all_their_changes_are_seen() -> None:
    changes = UnseenChanges()
    changes.add(["a", "b"], 10)
    changes.add(["c", "a"], 11)
    assert changes.take(Snapshot.parse("11:12:11")) == ["b"]
    assert len(changes) == 2
    assert changes.take(Snapshot.parse("12:12:")) == ["a", "c"]
    assert len(changes) == 0
