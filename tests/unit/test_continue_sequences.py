"""The command for restored orders refuses what it cannot rely on, before it connects to a database."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from services.order.continue_sequences import read

ORDER = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"
KNOWN = {"source": "/services/order", "subject": ORDER, "sequence": 3}


def written(folder: Path, **changed: object) -> Path:
    file = folder / "unknown.json"
    file.write_text(json.dumps({"events": [], "subjects": [KNOWN], "complete": True, **changed}))
    return file


def test_only_subjects_of_the_order_service_are_read(tmp_path: Path) -> None:
    other = {"source": "/services/notification", "subject": "anything", "sequence": 9}
    assert read(written(tmp_path, subjects=[KNOWN, other])) == {UUID(ORDER): 3}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"complete": False}, "is not complete"),
        ({"subjects": [{**KNOWN, "sequence": 0}]}, "is not the output"),
        ({"subjects": [{**KNOWN, "sequence": "x"}]}, "is not the output"),
        ({"subjects": [{**KNOWN, "subject": "o-1"}]}, "that is no order"),
    ],
)
def test_an_unusable_list_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object], reason: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(written(tmp_path, **changed))
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"table", b"\xff\xfe"])
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "unknown.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit):
        read(file)
