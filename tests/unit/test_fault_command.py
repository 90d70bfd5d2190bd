"""The command of the fault suite: wrong values, and a folder that belongs to others."""

import sys
from pathlib import Path

import pytest

from tests.faults import main as command
from tests.faults.catalogue import modules as catalogue
from tests.faults.folder import FolderNotUsable, suite_folder
from tests.faults.registry import FAULTS
from tests.faults.results import FILE


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    catalogue.load()
    made = ["make faults"]
    monkeypatch.setattr(sys, "argv", made)
    return made


@pytest.mark.parametrize(
    "given",
    [
        ["--seeds", "0"],
        ["--seeds", "-3"],
        ["--pairs", "-1"],
        ["--fault", "x"],
        ["--fault", "1+"],
        ["--pairs", "2", "--fault", "1"],
    ],
)
def test_a_wrong_value_is_an_error(arguments: list[str], given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments += given
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert given[0] in capsys.readouterr().err


@pytest.mark.parametrize("numbers", [(26,), (1, 19)])
def test_the_command_that_repeats_a_run_chooses_that_run(arguments: list[str], numbers: tuple[int, ...]) -> None:
    faults = [FAULTS[number] for number in numbers]
    text = command.replay_command(faults, 7)
    assert text == f'make faults FAULT={"+".join(map(str, numbers))} SEED=7 ARGS="--folder .run/faults-replayed"'
    arguments += ["--fault", text.split("FAULT=")[1].split()[0], "--seed", "7"]
    assert command.chosen(command.arguments()) == [(7, faults)]


def test_a_folder_with_files_of_others_is_refused_and_stays(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    arguments += ["--fault", "1", "--folder", str(tmp_path)]
    assert command.main() == 2
    assert "choose another with --folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderNotUsable, match="--folder"), suite_folder(tmp_path / "file", keep=False):
        pass


def test_a_folder_is_used_by_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        suite_folder(tmp_path, keep=True),
        pytest.raises(FolderNotUsable, match="another run"),
        suite_folder(tmp_path, keep=True),
    ):
        pass
    with suite_folder(tmp_path, keep=True):
        pass


@pytest.mark.parametrize("keep", [True, False])
def test_a_new_run_deletes_what_an_earlier_one_made_and_nothing_else(tmp_path: Path, keep: bool) -> None:
    with suite_folder(tmp_path, keep=False):
        (tmp_path / "run-001-fault-1-seed-1").mkdir()
        (tmp_path / FILE).touch()
    (tmp_path / "notes.txt").touch()
    with suite_folder(tmp_path, keep=keep):
        assert (tmp_path / "notes.txt").exists()
        assert (tmp_path / FILE).exists() is keep
        assert (tmp_path / "run-001-fault-1-seed-1").exists() is keep
