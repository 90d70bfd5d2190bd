"""The newest migration is found in the files as Alembic finds it."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from event_trio.database import migration_files
from event_trio.database.migration import ENVIRONMENT
from event_trio.database.migration_files import newest, versions
from event_trio.errors import ConfigurationError


def head(folder: Path) -> str | None:
    config = Config()
    config.set_main_option("script_location", str(ENVIRONMENT))
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config).get_current_head()


def write(folder: Path, *revisions: tuple[str, str]) -> None:
    for revision, before in revisions:
        (folder / f"v{revision}.py").write_text(f'revision: str = "{revision}"\ndown_revision = {before}\n')


@pytest.mark.parametrize("service", ["order", "notification"])
def test_the_newest_of_a_service_is_alembics(service: str) -> None:
    package = f"services.{service}.migrations"
    assert newest(package) == head(versions(package)) is not None


@pytest.mark.parametrize(
    ("revisions", "expected"),
    [
        ([], None),
        ([("a", "None")], "a"),
        ([("c", "'b'"), ("b", "'a'"), ("a", "None")], "c"),
        ([("a", "None"), ("b", "'a'"), ("c", "'a'"), ("d", "('b', 'c')")], "d"),
    ],
)
def test_the_newest_of_files_is_alembics(
    revisions: list[tuple[str, str]], expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, *revisions)
    (tmp_path / "__init__.py").write_text('"""Not a migration."""\n')
    monkeypatch.setattr(migration_files, "versions", lambda _: tmp_path)
    assert newest("any") == head(tmp_path) == expected


def test_two_newest_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ("a", "None"), ("b", "'a'"), ("c", "'a'"))
    monkeypatch.setattr(migration_files, "versions", lambda _: tmp_path)
    with pytest.raises(ConfigurationError, match="b, c"):
        newest("any")
