"""What a run leaves behind is searched for secrets and for what customers wrote."""

from pathlib import Path

import pytest

from tests.faults.artefacts import AWS_SECRET, DATABASE_PASSWORD, Artefacts, with_password
from tests.faults.workload import CANARY


@pytest.mark.parametrize("text", [CANARY, DATABASE_PASSWORD, AWS_SECRET])
@pytest.mark.parametrize("name", ["order-1.log", "servers/postgres.log", "run.jsonl"])
def test_each_file_of_a_run_is_searched(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "servers").mkdir()
    places = [tmp_path, tmp_path / "servers" / "postgres.log"]
    for line in ("nothing", f"DETAIL: Failing row contains ({text})."):
        artefacts = Artefacts(places)
        with (tmp_path / name).open("a") as file:
            file.write(f"{line}\n")
        found = list(artefacts.disclosing())
        assert len(found) == (line != "nothing")
    assert found[0].startswith(Path(name).name)


def test_what_was_there_before_does_not_count_and_a_new_file_is_read_from_its_begin(tmp_path: Path) -> None:
    log = tmp_path / "localstack.log"
    log.write_text(f"{CANARY}, and much more\n")
    artefacts = Artefacts([tmp_path])
    assert list(artefacts.disclosing()) == []
    log.write_text(f"{CANARY}\n")
    assert list(artefacts.disclosing()) == ["localstack.log: what a customer wrote"]


def test_the_processes_get_a_password() -> None:
    assert (
        with_password("postgresql://order_api@127.0.0.1:1/x")
        == f"postgresql://order_api:{DATABASE_PASSWORD}@127.0.0.1:1/x"
    )
