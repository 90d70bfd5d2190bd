"""When the bootstrap updates an environment."""

import sys
from pathlib import Path

import pytest

from tools import bootstrap


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environments are as the bootstrap leaves them."""
    (tmp_path / "locks").mkdir()
    for name, lock in bootstrap.ENVIRONMENTS.items():
        (tmp_path / lock).write_text("package==1.0\n")
        _install(tmp_path / name, tmp_path / lock)
    return tmp_path


def _install(environment: Path, lock: Path) -> None:
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (environment / bootstrap.STAMP).write_text(bootstrap._digest(environment, lock))


def test_nothing_is_stale_after_an_installation(checkout: Path) -> None:
    assert bootstrap.stale(checkout) == []


def test_a_changed_lock_makes_only_its_own_environment_stale(checkout: Path) -> None:
    (checkout / "locks/localstack.txt").write_text("package==1.1\n")
    assert bootstrap.stale(checkout) == [".venv-localstack"]


def test_an_environment_without_its_python_is_stale(checkout: Path) -> None:
    (checkout / ".venv/bin/python").unlink()
    (checkout / ".venv/bin/python").symlink_to(checkout / "removed")
    assert bootstrap.stale(checkout) == [".venv"]


def test_an_interrupted_installation_is_stale(checkout: Path) -> None:
    (checkout / ".venv" / bootstrap.STAMP).unlink()
    assert bootstrap.stale(checkout) == [".venv"]


def test_a_moved_checkout_is_stale(checkout: Path) -> None:
    moved = checkout.with_name("moved")
    checkout.rename(moved)
    assert bootstrap.stale(moved) == list(bootstrap.ENVIRONMENTS)


def test_a_placeholder_of_uv_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placeholder = tmp_path / "uv"
    placeholder.write_text("#!/bin/sh\necho 'no version 0.9.0 is selected' >&2\nexit 127\n")
    placeholder.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bootstrap, "TOOLS", tmp_path / "nowhere")
    assert bootstrap.find_uv() is None
    placeholder.write_text("#!/bin/sh\necho 'uv 0.9.0'\n")
    assert bootstrap.find_uv() == str(placeholder)


def test_a_failed_installation_is_reported_and_retried(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "locks/dev.txt").write_text("package==2.0\n")
    failing = checkout / "uv"
    failing.write_text("#!/bin/sh\ntest $1 = --version && echo 'uv 0.9.0' && exit\necho 'no route to host'\nexit 2\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{checkout}:/usr/bin:/bin")
    with pytest.raises(bootstrap.BootstrapFailed, match=r"(?s)no route to host.*package index reachable"):
        bootstrap.bootstrap(checkout)
    assert bootstrap.stale(checkout) == [".venv"]


def test_a_missing_venv_module_is_reported_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(bootstrap.BootstrapFailed, match=r"sudo apt install python3\.\d+-venv"):
        bootstrap._require_venv()


def test_variables_choose_the_index_but_not_the_target(tmp_path: Path) -> None:
    kept = {"HTTPS_PROXY": "http://p:1", "UV_INDEX_URL": "x", "PIP_INDEX_URL": "x", "SSL_CERT_FILE": "x", "PATH": "x"}
    refused = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "UV_PYTHON", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV")
    given = {**kept, "HOME": str(tmp_path), **dict.fromkeys(refused, "1"), "UV_CACHE_DIR": ""}
    assert bootstrap.installers_environment(given) == {**kept, "HOME": str(tmp_path), "PYTHONUTF8": "1"}


def test_without_a_home_folder_the_caches_are_in_the_project() -> None:
    found = bootstrap.installers_environment({"HOME": "/dev/null", "TMPDIR": "/nowhere"})
    assert found["UV_CACHE_DIR"].startswith(str(bootstrap.TOOLS))
    assert "TMPDIR" not in found
    assert bootstrap.installers_environment({"HOME": "/dev/null", "UV_CACHE_DIR": "/x"})["UV_CACHE_DIR"] == "/x"
